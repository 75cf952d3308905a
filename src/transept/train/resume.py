"""What a checkpoint remembers of its run, and whether a run may go on from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from transept.errors import InvalidConfig, InvalidData
from transept.spec import part_from_dict
from transept.train.config import TrainConfig, usual
from transept.train.progress import Progress
from transept.train.standing import Standing

FIXED = ("seed", "batch_tokens", "accumulate")  # the order of the batches hangs on these


@dataclass(frozen=True)
class Identity:
    """What a run is made of, besides its weights."""

    fingerprint: str
    layout: str
    settings: Mapping[str, Any]
    spec: Mapping[str, Any]  # the model's description: other heads or norms have the same names and shapes
    sections: Mapping[str, Any]  # of the recipe, beside `train`: how the validation is made
    surroundings: Mapping[str, Any]  # threads, device, precision, processes, versions: bits may hang on these

    def compared(self, saved: Mapping[str, Any], sections: Mapping[str, Any] | None = None) -> list[str]:
        """Sentences on what is different now and may be; errors for what may not. `sections` are those of a recipe that
        says nothing of its own: a setting that came since then is another only where it differs from there."""
        before: Mapping[str, Any] = saved["settings"]
        for name in FIXED:
            if before[name] != self.settings[name]:
                raise InvalidConfig(
                    f"train.{name} was {before[name]} when the run began and is {self.settings[name]} now; "
                    "the batches would be others",
                    remedy=f"Use train.{name}={before[name]}, or start another run by run=ANOTHER.",
                )
        if before.get("lora") != self.settings.get("lora"):
            changed = differences(before.get("lora"), self.settings.get("lora"), "train.lora")
            raise InvalidConfig(
                f"the adapters are not those of the run: {changed[0]}",
                remedy="Use the run's own config.yaml, or start another run by run=ANOTHER.",
            )
        if saved["fingerprint"] != self.fingerprint:
            raise InvalidData(
                "the training data are not those that the run began with",
                remedy="Put them back as they were, or start another run by run=ANOTHER.",
            )
        if saved["layout"] != self.layout:
            raise InvalidConfig(
                "the model, what of it is frozen, or what weight decay pulls on, is not that of the run",
                remedy="Use the run's own config.yaml, or start another run by run=ANOTHER.",
            )
        changed = [*_of_the_model(saved.get("spec"), self.spec)]
        changed += differences(
            completed(before, usual(TrainConfig)), completed(self.settings, usual(TrainConfig)), "train"
        )
        if (follows := _of_the_rate(before, self.settings)) is not None:
            changed.append(follows)
        if saved.get("sections"):
            changed += differences(completed(saved["sections"], sections or {}), self.sections)
        around: Mapping[str, Any] = saved["surroundings"]
        moved = [
            f"{name} was {around.get(name)}, is {value} now: the last bits of the weights may differ"
            for name, value in self.surroundings.items()
            if around.get(name) != value
        ]
        return changed + moved


def completed(told: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that another version wrote, as this one would have: what it did not have is as `usual`, nested ones too.

    Within a section that is usual, what is gone is left out. At the top it stays, and is told as a difference: there
    `usual` has not all that there is, for some settings must be said.
    """
    made = dict(told)
    for name, value in usual.items():
        if isinstance(value, Mapping) and isinstance(made.get(name), Mapping):
            known = {key: own for key, own in made[name].items() if key in value}
            made[name] = completed(known, value)
        else:
            made.setdefault(name, value)
    return made


def differences(before: Any, now: Any, path: str = "") -> list[str]:
    """A sentence for each place where two pieces of plain data differ: "search.beam was 5, is 4 now"."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        names = dict.fromkeys([*before, *now])
        return [d for n in names for d in differences(before.get(n), now.get(n), f"{path}.{n}" if path else n)]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [d for i, (one, other) in pairs for d in differences(one, other, f"{path}[{i}]")]
    return [] if before == now else [f"{path} was {before}, is {now} now"]


def _of_the_model(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[str]:
    """What may be another in a model that goes on, which is its dropout and where it is; InvalidConfig for all else."""
    if before is None:  # a checkpoint of a version that did not keep it
        return []
    if "kind" in before:  # fields that came since then have their defaults
        before = part_from_dict(before, "model").to_dict()
    changed = differences(before, now, "model")
    fixed = [change for change in changed if not change.partition(" was ")[0].endswith(("dropout", ".drops"))]
    if fixed:
        more = f" (and {len(fixed) - 1} more)" if len(fixed) > 1 else ""
        raise InvalidConfig(
            f"the model is not that of the run: {fixed[0]}{more}",
            remedy="Use the run's own config.yaml, or start another run by run=ANOTHER.",
        )
    return changed


def _of_the_rate(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What to say where the rate falls until another update than it did, since it falls until training stops."""
    both = [each.get("schedule", {}) for each in (before, now)]
    if any(each.get("updates", 0) is not None for each in both) or before["stop"] == now["stop"]:
        return None
    return f"train.schedule follows train.stop: the rate falls until {now['stop']} now, and fell until {before['stop']}"


def remembered(progress: Progress, standing: Standing, identity: Identity, rest: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a checkpoint, as plain data."""
    return {"progress": asdict(progress), "standing": asdict(standing), **asdict(identity), **rest}
