"""What a loaded model does with pictures and with sound."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, overload

from transept.use.caption import caption
from transept.use.classify import Label
from transept.use.given import Heard, Picture, is_picture, is_sound
from transept.use.hear import hear
from transept.use.opened import Opened
from transept.use.see import see
from transept.use.text import Text
from transept.use.transcribe import Transcript, transcribe

Say = Callable[[str], None]


def warn(text: str) -> None:
    """A warning of Python's, for who named nobody to tell."""
    warnings.warn(text, stacklevel=4)


class Senses(Opened):
    """The verbs of what is no text: one in, one out; a list in, a list out."""

    @overload
    def see(self, picture: Picture) -> Label: ...  # type: ignore[overload-overlap]

    @overload
    def see(self, picture: Sequence[Picture]) -> list[Label]: ...

    def see(self, picture: Picture | Sequence[Picture]) -> Label | list[Label]:
        """The label of a picture: of a file, of an image of Pillow, or of pixels.

        Pixels are uint8, (height, width, channels) in NumPy and (channels, height, width) in torch. Real numbers
        (channels, height, width) are a picture that is prepared already.
        """
        self.demand("see")
        return see(self, [picture])[0] if is_picture(picture) else see(self, several(picture))

    @overload
    def hear(  # type: ignore[overload-overlap]
        self, sound: Heard, *, rate: int | None = None, resample: bool = False, say: Say = warn
    ) -> Label: ...

    @overload
    def hear(
        self, sound: Sequence[Heard], *, rate: int | None = None, resample: bool = False, say: Say = warn
    ) -> list[Label]: ...

    def hear(
        self, sound: Heard | Sequence[Heard], *, rate: int | None = None, resample: bool = False, say: Say = warn
    ) -> Label | list[Label]:
        """The label of a sound as a whole. `rate`, `resample` and `say` are those of `transcribe`."""
        if is_sound(sound):
            return hear(self, [sound], rate, resample, say)[0]
        return hear(self, several(sound), rate, resample, say)

    @overload
    def caption(self, picture: Picture, *, first: int = 0, **search: Any) -> Text: ...

    @overload
    def caption(self, picture: Sequence[Picture], *, first: int = 0, **search: Any) -> list[Text]: ...

    def caption(self, picture: Picture | Sequence[Picture], *, first: int = 0, **search: Any) -> Text | list[Text]:
        """A text that describes a picture, which is given as in `see`.

        A picture draws by its number (`first` on), as a text does in `translate`.
        """
        self.demand("caption")
        settings = self.settings(**search)
        if is_picture(picture):
            return caption(self, [picture], settings, first)[0]
        return caption(self, several(picture), settings, first)

    @overload
    def transcribe(  # type: ignore[overload-overlap]
        self, sound: Heard, *, rate: int | None = None, resample: bool = False, beam: int = 1, say: Say = warn
    ) -> Transcript: ...

    @overload
    def transcribe(
        self, sound: Sequence[Heard], *, rate: int | None = None, resample: bool = False, beam: int = 1, say: Say = warn
    ) -> list[Transcript]: ...

    def transcribe(
        self,
        sound: Heard | Sequence[Heard],
        *,
        rate: int | None = None,
        resample: bool = False,
        beam: int = 1,
        say: Say = warn,
    ) -> Transcript | list[Transcript]:
        """What is said in a sound file, or in samples (N,) of which there are `rate` in a second.

        It is read by the best letter at every frame; with a `beam` above 1 it is the likeliest text, summed over all
        ways to spell it, among so many beginnings. Sound of another sampling rate than the model's is refused; with
        `resample` it is changed, and `say` hears it.
        """
        if is_sound(sound):
            return transcribe(self, [sound], rate, resample, beam, say)[0]
        return transcribe(self, several(sound), rate, resample, beam, say)


def several(given: Any) -> list[Any]:
    """What is more than one, as a list."""
    return list(given)
