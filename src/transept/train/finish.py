"""The end of a run: its model, made of one checkpoint or of the mean of several, validated and written for others."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from transept import __version__
from transept.durable import new_folder
from transept.errors import InvalidData
from transept.tasks.task import AnyBatch, Task
from transept.train.adapting import Keep, build, handed_on
from transept.train.average import averaged
from transept.train.checkpoint import Checkpoints
from transept.train.config import TrainConfig
from transept.train.run import RunDirectory
from transept.train.standing import Standing, spoken


def model_of(
    task: Task[AnyBatch],
    config: TrainConfig,
    checkpoints: Checkpoints,
    updates: Sequence[int],
    device: torch.device,
) -> nn.Module:
    """A float32 model with the mean of some checkpoints, as it was trained."""
    model = build(task, config).to(device)
    fill(model, averaged(checkpoints, updates))
    return model.eval()


@torch.no_grad()
def fill(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into a model's own; each of its storages must be met."""
    own = model.state_dict()
    met = {own[name].data_ptr() for name in tensors if name in own}
    for name in sorted(
        {*tensors} - {*own} | {name for name, t in own.items() if t.numel() and t.data_ptr() not in met}
    ):
        side = "is missing" if name in own else "is unknown to this model"
        raise InvalidData(f"tensor {name} {side}", remedy="The checkpoint belongs to another model.")
    for name, tensor in tensors.items():
        if own[name].shape != tensor.shape:
            raise InvalidData(
                f"tensor {name} has shape {list(tensor.shape)}, the model's is {list(own[name].shape)}",
                remedy="The checkpoint belongs to another model.",
            )
        own[name].copy_(tensor)


def worth_averaging(
    task: Task[AnyBatch],
    config: TrainConfig,
    checkpoints: Checkpoints,
    updates: Sequence[int],
    best: Standing,
    device: torch.device,
) -> tuple[list[int], str]:
    """The checkpoints of which to make the model, and what there is to say of the choice.

    A mean takes in what the model was early on: in a short run it is worse than the best checkpoint, taken then.
    """
    if len(updates) < 2 or best.update is None or best.score is None or best.update not in checkpoints.updates():
        return list(updates), ""
    if checkpoints.fault(best.update) is not None:
        return list(updates), f"the best checkpoint, of update {best.update:,}, is damaged: the mean is taken untried"
    model = model_of(task, config, checkpoints, updates, device)
    with torch.no_grad():
        score = task.evaluate(model)[task.score]
    if score >= best.score if task.higher else score <= best.score:
        return list(updates), ""
    name = spoken(task.score)
    told = (
        f"the mean of {len(updates)} checkpoints has {name} {score:.4g}: the {best.words(task.score)} is taken instead"
    )
    return [best.update], told


def write_model(
    task: Task[AnyBatch],
    config: TrainConfig,
    run: RunDirectory,
    updates: Sequence[int],
    device: torch.device,
    told: Mapping[str, Any],
    out: Path | None = None,
    keep: Keep | None = None,
) -> dict[str, float]:
    """Make a model of some checkpoints, in model/ unless `out` says where, and return its scores on the validation
    split; `told` goes into the record. Adapters are merged; `keep` is given the model before that, and where it is."""
    checkpoints = Checkpoints(run.checkpoints)
    made = model_of(task, config, checkpoints, updates, device)
    model = handed_on(made)
    with torch.no_grad():
        scores = dict(task.evaluate(model))
    record = dict(told) | {
        "task": task.name,
        "data": dict(task.facts()),
        "recipe": run.config.read_text(encoding="utf-8"),
        "command": f"transept train {run.config}",
        "checkpoints": list(updates),
        "score": task.score,
        "valid": scores,
        "curve": curve(run),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "versions": versions(),
    }
    with new_folder(out or run.model) as fresh:
        task.save_model(model, fresh, record)
        if keep is not None:
            keep(made, fresh)
    return scores


def curve(run: RunDirectory) -> list[dict[str, Any]]:
    """The validations of a run, in order."""
    return [event for event in run.events() if event["event"] == "valid"]


def versions() -> dict[str, str]:
    """What a result depends on besides the recipe."""
    return {"transept": __version__, "torch": torch.__version__, "python": platform.python_version()}
