"""What a loaded model does with pictures and with sound."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

from torch import Tensor

from transept.use.caption import caption
from transept.use.classify import Label
from transept.use.opened import Opened
from transept.use.see import Picture, see
from transept.use.text import Text
from transept.use.transcribe import Transcript, transcribe

Say = Callable[[str], None]


def warn(text: str) -> None:
    """A warning of Python's, for who named nobody to tell."""
    warnings.warn(text, stacklevel=4)


class Senses(Opened):
    """The verbs of what is no text: one in, one out; a list in, a list out."""

    @overload
    def see(self, picture: str | Path | Tensor) -> Label: ...  # type: ignore[overload-overlap]

    @overload
    def see(self, picture: Sequence[Picture]) -> list[Label]: ...

    def see(self, picture: Picture | Sequence[Picture]) -> Label | list[Label]:
        """The label of a picture: of a file, or of a tensor (channels, height, width) that is prepared already."""
        if isinstance(picture, str | Path) or (isinstance(picture, Tensor) and picture.dim() == 3):
            return see(self, [picture])[0]
        return see(self, list(picture))

    @overload
    def caption(self, picture: str | Path, *, first: int = 0, **search: Any) -> Text: ...

    @overload
    def caption(self, picture: Sequence[Picture], *, first: int = 0, **search: Any) -> list[Text]: ...

    def caption(self, picture: Picture | Sequence[Picture], *, first: int = 0, **search: Any) -> Text | list[Text]:
        """A text that describes a picture: of a file, or of a tensor (channels, height, width) prepared already.

        A picture draws by its number (`first` on), as a text does in `translate`.
        """
        self.demand("caption")
        settings = self.settings(**search)
        if isinstance(picture, str | Path) or (isinstance(picture, Tensor) and picture.dim() == 3):
            return caption(self, [picture], settings, first)[0]
        return caption(self, list(picture), settings, first)

    @overload
    def transcribe(  # type: ignore[overload-overlap]
        self, file: str | Path, *, resample: bool = False, beam: int = 1, say: Say = warn
    ) -> Transcript: ...

    @overload
    def transcribe(
        self, file: Sequence[str | Path], *, resample: bool = False, beam: int = 1, say: Say = warn
    ) -> list[Transcript]: ...

    def transcribe(
        self, file: str | Path | Sequence[str | Path], *, resample: bool = False, beam: int = 1, say: Say = warn
    ) -> Transcript | list[Transcript]:
        """What is said in a sound file, by the best letter at every frame.

        With a `beam` above 1 it is the likeliest text, summed over all ways to spell it, among so many beginnings.
        A file of another sampling rate than the model's is refused; with `resample` it is changed, and `say` hears it.
        """
        files = [Path(file)] if isinstance(file, str | Path) else [Path(one) for one in file]
        found = transcribe(self, files, resample, beam, say)
        return found[0] if isinstance(file, str | Path) else found
