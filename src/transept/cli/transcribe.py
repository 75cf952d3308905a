"""`transept transcribe`: speech in sound files, written down."""

from __future__ import annotations

from typing import Annotated

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, emit, note, say, verb
from transept.cli.lines import FileOption, Lines, PathsArgument

ResampleOption = Annotated[bool, typer.Option("--resample", help="Change files of another sampling rate.")]


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept transcribe models/wav2vec2 speech.wav",
        "transept transcribe models/wav2vec2 *.wav --resample > texts.txt",
        "find sounds -name '*.wav' | transept transcribe models/wav2vec2 --json",
    )(transcribe)


def transcribe(
    model: ModelArgument,
    sounds: PathsArgument = None,
    file: FileOption = None,
    resample: ResampleOption = False,
    beam: Annotated[
        int, typer.Option("--beam", min=1, help="Beginnings of the likeliest text; 1: the best letter at every frame.")
    ] = 1,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Write down what is said in sound files.

    A line for each file. PCM .wav files are always read; others where soundfile is installed.
    """
    from transept.use.loaded import load

    lines = Lines(sounds or [], file, 1, machine=as_json, paths=True)
    loaded = load(model, device=device, say=note)
    loaded.demand_ready("transcribe")
    for number, path, text in lines.answered(
        lambda batch, first: loaded.transcribe(list(batch), resample=resample, beam=beam, say=say)
    ):
        if as_json:
            emit({"line": number, "source": path, "text": str(text), "seconds": round(text.seconds, 3)})
        else:
            print(text)
    lines.end()
