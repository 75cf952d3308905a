"""What a checkpoint remembers of its run, and whether a run may go on from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from transept.errors import InvalidConfig, InvalidData
from transept.train.config import TrainConfig
from transept.train.progress import Progress
from transept.train.standing import Standing

FIXED = ("seed", "batch_tokens", "accumulate")  # the order of the batches hangs on these


@dataclass(frozen=True)
class Identity:
    """What a run is made of, besides its weights."""

    fingerprint: str
    layout: str
    settings: Mapping[str, Any]
    surroundings: Mapping[str, Any]  # threads, device, precision, processes, versions: bits may hang on these

    @classmethod
    def of(cls, fingerprint: str, layout: str, config: TrainConfig, surroundings: Mapping[str, Any]) -> Identity:
        return cls(fingerprint, layout, config.model_dump(mode="json"), surroundings)

    def compared(self, saved: Mapping[str, Any]) -> list[str]:
        """Sentences on what is different now and may be; errors for what may not."""
        before: Mapping[str, Any] = saved["settings"]
        for name in FIXED:
            if before[name] != self.settings[name]:
                raise InvalidConfig(
                    f"train.{name} was {before[name]} when the run began and is {self.settings[name]} now; "
                    "the batches would be others",
                    remedy=f"Use train.{name}={before[name]}, or start another run by run=ANOTHER.",
                )
        if saved["fingerprint"] != self.fingerprint:
            raise InvalidData(
                "the training data are not those that the run began with",
                remedy="Put them back as they were, or start another run by run=ANOTHER.",
            )
        if saved["layout"] != self.layout:
            raise InvalidConfig(
                "the model, or what weight decay pulls on, is not that of the run",
                remedy="Use the run's own config.yaml, or start another run by run=ANOTHER.",
            )
        changed = [
            f"train.{name} was {before.get(name)}, is {value} now"
            for name, value in self.settings.items()
            if before.get(name) != value
        ]
        around: Mapping[str, Any] = saved["surroundings"]
        moved = [
            f"{name} was {around.get(name)}, is {value} now: the last bits of the weights may differ"
            for name, value in self.surroundings.items()
            if around.get(name) != value
        ]
        return changed + moved


def remembered(progress: Progress, standing: Standing, identity: Identity, rest: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a checkpoint, as plain data."""
    return {"progress": asdict(progress), "standing": asdict(standing), **asdict(identity), **rest}
