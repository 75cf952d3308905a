"""`transept hear`: the class of a sound."""

from __future__ import annotations

import typer

from transept.cli.classify import TopOption, show
from transept.cli.common import DeviceOption, JsonOption, ModelArgument, note, say, verb
from transept.cli.lines import FileOption, Lines, PathsArgument
from transept.cli.transcribe import ResampleOption


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept hear models/keywords word.wav",
        "transept hear models/keywords *.wav --top 3 --resample",
        "find sounds -name '*.wav' | transept hear models/keywords --json",
    )(hear)


def hear(
    model: ModelArgument,
    sounds: PathsArgument = None,
    file: FileOption = None,
    resample: ResampleOption = False,
    top: TopOption = 1,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Classify sounds: the label of each file.

    A line for each: the label, a TAB, its probability.
    """
    from transept.use.loaded import load

    lines = Lines(sounds or [], file, 1, machine=as_json, paths=True)
    loaded = load(model, device=device, say=note)
    loaded.demand_ready("hear")
    for number, path, label in lines.answered(
        lambda batch, first: loaded.hear(list(batch), resample=resample, say=say)
    ):
        show(number, path, label, top, as_json)
    lines.end()
