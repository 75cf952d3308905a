"""What a recipe says of training: `train:`. Importing this imports no torch."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import to_jsonable_python

from transept.train.amount import Amount, AmountText


class _Settings(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Optimizer(_Settings):
    """Adam (Kingma and Ba 2015), or AdamW (Loshchilov and Hutter 2019), whose decay does not pass through the moments.

    `decay`        what weight decay pulls on: "matrices" leaves biases and norms alone, "all" does not (as fairseq).
    `layer_decay`  the rate of each layer is this times that of the layer above it, down to what embeds; the head, which
                   stands above all, has the whole (Howard and Ruder 2018, section 3.2; Bao et al. 2021).
    `head_rate`    what the rate of the head is multiplied by.
    """

    name: Literal["adam", "adamw"] = "adam"
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = Field(default=1e-9, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    decay: Literal["matrices", "all"] = "matrices"
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    head_rate: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _betas_below_one(self) -> Optimizer:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {list(self.betas)} must lie in [0, 1)")
        return self


class Lora(_Settings):
    """Adapters of low rank beside matrices that stay as they are (Hu et al. 2021): `transept.parts.lora`.

    `alpha`    what the adapters add is times alpha / rank.
    `dropout`  of what the adapters read.
    `targets`  names of matrices, `*` for anything and `|` between choices; one, or a list.
    `also`     names of what is trained beside them. A head that begins anew is always.
    """

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: str | list[str] = "*.attention|cross.q|v"
    also: list[str] = []


class Noam(_Settings):
    """rate · width^-0.5 · min(update^-0.5, update · warmup^-1.5), as in Vaswani et al. 2017, section 5.3."""

    name: Literal["noam"]
    width: int = Field(ge=1)
    warmup: int = Field(default=4000, ge=1)
    rate: float = Field(default=1.0, gt=0)


class InverseSqrt(_Settings):
    """Linear to `rate` over `warmup` updates, then rate · (warmup / update)^0.5, as in fairseq."""

    name: Literal["inverse_sqrt"]
    rate: float = Field(gt=0)
    warmup: int = Field(default=4000, ge=1)


class Constant(_Settings):
    """Linear to `rate` over `warmup` updates, then `rate`."""

    name: Literal["constant"]
    rate: float = Field(gt=0)
    warmup: int = Field(default=0, ge=0)


class Decaying(_Settings):
    """Linear to `rate` over `warmup` updates, then down to `floor` at `updates`: half a cosine, or a straight line.

    `updates`  null: where `train.stop` is, which must count updates then; where that is moved, this follows.
    """

    name: Literal["cosine", "linear"]
    rate: float = Field(gt=0)
    warmup: int = Field(default=0, ge=0)
    floor: float = Field(default=0.0, ge=0)
    updates: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _falls_after_warmup(self) -> Decaying:
        if self.updates is not None and self.warmup >= self.updates:
            raise ValueError(f"warmup {self.warmup} must end before updates {self.updates}")
        if self.floor > self.rate:
            raise ValueError(f"floor {self.floor:g} is above rate {self.rate:g}")
        return self


Schedule = Annotated[Noam | InverseSqrt | Constant | Decaying, Field(discriminator="name")]


class TrainConfig(_Settings):
    """How a model is trained.

    `stop`            when at the latest: updates 60u, epochs 10e, million supervised tokens 300Mt, time 30min or 2h.
    `batch_tokens`    the most tokens of a batch, padding counted, on its longer side.
    `accumulate`      batches of one update, over all processes together.
    `freeze`          names of weights that stay as they are: "embed", "stack.blocks.[0-5]".
    `lora`            train adapters of low rank, and nothing else; the model that is made holds them merged.
    `smoothing_form`  "uniform": smoothing/V on every class; "others": smoothing/(V-1) on each class but the true one.
    `clip`            the largest gradient norm; 0: any.
    `precision`       "auto" takes bfloat16 on a GPU or a processor that multiplies it, else float32.
    `validate_every`  how often to validate, in the units of `stop`; each validation is saved.
    `validate_first`  before the first update too: what a model that is taken up is worth as it is, which may stay the
                      best.
    `save_every`      how often to save the checkpoints that are averaged; null: at each validation.
    `patience`        validations without a new best before training stops; 0: never.
    `keep`            newest checkpoints kept, besides the best one and those still needed for the average.
    `average`         how many of the last saved checkpoints are averaged into the model; 0, or where the mean scores
                      lower: the best one is the model.
    `log_every`       seconds between lines.
    `samples`         validation examples shown at each validation.
    `threads`         of the processor; null: torch's own choice.
    `device`          "cpu", "cuda", "cuda:1", or "auto": a GPU where there is one.
    """

    stop: AmountText
    seed: int = Field(default=42, ge=0)
    batch_tokens: int = Field(ge=1)
    accumulate: int = Field(default=1, ge=1)
    optimizer: Optimizer = Optimizer()
    schedule: Schedule
    freeze: list[str] = []
    lora: Lora | None = None
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    smoothing_form: Literal["uniform", "others"] = "uniform"
    clip: float = Field(default=0.0, ge=0)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    validate_every: AmountText = "1e"
    validate_first: bool = False
    save_every: AmountText | None = None
    patience: int = Field(default=0, ge=0)
    keep: int = Field(default=2, ge=2)
    average: int = Field(default=0, ge=0)
    log_every: float = Field(default=10.0, gt=0)
    samples: int = Field(default=4, ge=0)
    threads: int | None = Field(default=None, ge=1)
    device: str = "auto"

    @field_validator("schedule")
    @classmethod
    def _follows_stop(cls, schedule: Schedule, info: ValidationInfo) -> Schedule:
        if not isinstance(schedule, Decaying) or schedule.updates is not None or "stop" not in info.data:
            return schedule
        if (stop := Amount.parse(info.data["stop"])).unit != "u":
            raise ValueError(
                f"updates must say where the {schedule.name} ends: it follows train.stop only where that counts "
                f"updates, as 1000u, and it is {stop}"
            )
        return schedule

    @field_validator("device")
    @classmethod
    def _is_a_device(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            without = "; mps has no float64, in which losses are summed" if device == "mps" else ""
            raise ValueError(f"{device!r} is not auto, cpu, cuda or cuda:1{without}")
        return device

    @property
    def rates(self) -> Schedule:
        """`schedule`, which says where it ends if it falls."""
        if not isinstance(self.schedule, Decaying) or self.schedule.updates is not None:
            return self.schedule
        # A run that stops within the warm-up only warms up.
        return self.schedule.model_copy(update={"updates": max(int(self.stop_at.number), self.schedule.warmup + 1)})

    def idle(self) -> str:
        """What to say where the rate never gets to its height, or falls to nothing long before the end; else ""."""
        own, stop = self.schedule, self.stop_at
        if stop.unit == "u" and own.warmup > stop.number:
            return (
                f"the rate rises for {own.warmup:,} updates, and training stops after {int(stop.number):,}: "
                "train.schedule.warmup makes it rise sooner"
            )
        if not isinstance(own, Decaying) or own.floor or own.updates is None or stop.unit != "u":
            return ""
        last = int(stop.number)
        if own.updates >= last:
            return ""
        return (
            f"the rate is 0 from update {own.updates:,} to the end at {last:,}, where nothing is learned: "
            f"train.schedule.updates={last} lets it fall until then, and null until wherever train.stop is"
        )

    @property
    def stop_at(self) -> Amount:
        """`stop`, read."""
        return Amount.parse(self.stop)

    @property
    def validate_at(self) -> Amount:
        """`validate_every`, read."""
        return Amount.parse(self.validate_every)

    @property
    def save_at(self) -> Amount:
        """`save_every`, or `validate_every` where it says nothing, read."""
        return Amount.parse(self.save_every or self.validate_every)


def usual(kind: type[BaseModel]) -> dict[str, Any]:
    """What settings are where nobody says anything, as plain data, but for those that must be said."""
    optional = {name: field for name, field in kind.model_fields.items() if not field.is_required()}
    made = {name: field.get_default(call_default_factory=True) for name, field in optional.items()}
    return {name: to_jsonable_python(value) for name, value in made.items()}
