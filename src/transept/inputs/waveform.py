"""Sound becomes vectors: strided convolutions over samples, a projection, some frames hidden, an order from around.

Shapes: B batch, N samples, F frames, C channels of the features, D width.
"""

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.inputs.entry import Entry, EntryLayer
from transept.parts.convolution import Convolutions, Convolved
from transept.parts.dropout import dropout
from transept.parts.entered import Entered
from transept.parts.masking import Masking
from transept.parts.norm import Norm
from transept.parts.position import Added


class Waveform(Entry):
    """drop(after(position(hide(drop(norm(features) W + b))))) (Baevski et al. 2020, sections 2 and 3.1).

    What the features are after their norm is handed on as `raw`. Hidden frames become one learned vector, hidden
    channels zero; where `augment` is true, training draws what is hidden by `times` and `channels` unless it is told.
    There is a vector where one of them has a share. `after` is wav2vec 2.0's norm of the base size, whose blocks
    norm after their sublayers; None leaves it to the blocks. `position` is wav2vec 2.0's convolution, or what is added
    to frames by their numbers, or None.
    """

    features: Convolutions
    norm: Norm = Norm()
    position: Convolved | Added | None = Convolved()
    after: Norm | None = Norm()
    times: Masking = Masking()
    channels: Masking = Masking()
    augment: bool = True
    project_dropout: float = 0.0
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(0, "project_dropout", "dropout", below=1)
        if isinstance(self.position, Added) and (self.position.reads_tree or self.position.grid()):
            raise InvalidConfig(f"{self.position} is of sentences or of pictures, and sound has neither tree nor grid")

    @property
    def raw(self) -> int | None:
        return self.features.channels[-1]

    def build(self, width: int) -> "WaveformLayer":
        return WaveformLayer(self, width)


class WaveformLayer(EntryLayer):
    """`hidden` (D,) takes the place of a frame that is hidden."""

    def __init__(self, spec: Waveform, width: int) -> None:
        super().__init__()
        self.spec = spec
        channels = spec.features.channels[-1]
        self.features, self.norm = spec.features.build(), spec.norm.build(channels)
        self.project = nn.Linear(channels, width)
        self.hidden = nn.Parameter(torch.empty(width)) if spec.times.share or spec.channels.share else None
        self.position = spec.position.build(width) if spec.position else None
        self.after = spec.after.build(width) if spec.after else nn.Identity()

    def begin(self) -> None:
        """As wav2vec 2.0: the projection is uniform within 1 / sqrt(C), the vector of hidden frames within 0 and 1."""
        bound = self.project.in_features**-0.5
        nn.init.uniform_(self.project.weight, -bound, bound)
        nn.init.uniform_(self.project.bias, -bound, bound)
        if self.hidden is not None:
            nn.init.uniform_(self.hidden)

    def forward(
        self,
        waves: Tensor,
        valid: Tensor | None = None,
        positions: Tensor | None = None,
        hide: Tensor | None = None,
    ) -> Entered:
        """waves (B, N); valid (B, N), one run in each row, on whichever side padding stands.

        hide (B, F) is true for frames to be hidden. The frames of a row begin with its first real sample, so those that
        are real come first. A row with fewer samples than make a frame has none. Raises InvalidData where no row can
        have one.
        """
        if positions is not None:
            raise UsageError("positions cannot be given with sound", remedy="Leave them out: frames have their own.")
        if waves.dim() != 2:
            raise InvalidData(f"sound is (rows, samples), not {tuple(waves.shape)}", remedy="Mix it to one channel.")
        if waves.size(1) < (least := self.spec.features.least()):
            raise InvalidData(
                f"{waves.size(1)} samples are too short for a frame, which takes {least}",
                remedy="Leave the sound out, or add silence.",
            )
        waves, lengths = _to_the_left(waves.to(self.project.weight.dtype), valid)
        features, lengths = self.features(waves, lengths)
        raw = self.norm(features)
        x = dropout(self.project(raw), self.spec.project_dropout if self.training else 0.0)
        x = self._hide(x, lengths, hide)
        frames = None
        if lengths is not None:
            frames = torch.arange(x.size(1), device=x.device) < lengths[:, None]
            x = _silenced(x, frames)
        x = dropout(self.after(self.ordered(x)), self.spec.dropout if self.training else 0.0)
        return Entered(x, frames, raw=raw)

    def ordered(self, x: Tensor) -> Tensor:
        """Frames (B, F, D) with their order told, as it is told here."""
        if self.position is None:
            return x
        if isinstance(self.spec.position, Added):  # the frames of a row begin at its first column
            added: Tensor = x + self.position(torch.arange(x.size(1), device=x.device)[None]).to(x.dtype)
            return added
        convolved: Tensor = self.position(x)
        return convolved

    def _hide(self, x: Tensor, lengths: Tensor | None, hide: Tensor | None) -> Tensor:
        """Hidden frames and channels, told or drawn from torch's generator. x (B, F, D)"""
        spec = self.spec
        drawn = self.training and spec.augment
        if hide is None and drawn and spec.times.share:
            counts = [x.size(1)] * len(x) if lengths is None else lengths.tolist()
            hide = spec.times.draw(counts, x.size(1)).to(x.device)
        if hide is not None:
            if self.hidden is None:
                raise UsageError("frames were to be hidden, and this model has no vector for that")
            x = torch.where(hide[..., None], self.hidden, x)
        if drawn and spec.channels.share:
            channels = spec.channels.draw([x.size(2)] * len(x), x.size(2)).to(x.device)
            x = x.masked_fill(channels[:, None], 0.0)
        return x


def _silenced(x: Tensor, frames: Tensor) -> Tensor:
    """Zeros where no frame is real, for the convolution of the positions sees what stands around."""
    return x.masked_fill(~frames[..., None], 0.0)


def _to_the_left(waves: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Each row with its first real sample first and zeros after its last, since frames are counted from there."""
    if valid is None:
        return waves, None
    size = waves.size(1)
    first = valid.int().argmax(1, keepdim=True)
    order = (torch.arange(size, device=waves.device) + first) % size
    return waves.gather(1, order).masked_fill(~valid.gather(1, order), 0.0), valid.sum(1)
