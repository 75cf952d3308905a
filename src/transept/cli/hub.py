"""`transept import` and `transept export`: models from others, and for others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from transept.cli.common import JsonOption, ModelArgument, OverwriteOption, emit, note, verb

if TYPE_CHECKING:
    from transept.hub.verify import Report

OutArgument = Annotated[Path, typer.Argument(metavar="OUT", help="The new model directory.")]
VerifyOption = Annotated[
    bool, typer.Option("--verify", help="Compare numbers and tokens with what transformers makes.")
]


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept import ./bert-dir models/bert --verify",
        "transept import OWNER/NAME models/theirs",
        "transept import ./old-dir models/old --allow-pickle",
        name="import",
    )(import_model)
    verb(app, "transept export runs/demo out/ --to hf --verify", name="export")(export_model)


def import_model(
    source: Annotated[str, typer.Argument(metavar="HF_DIR_OR_ID", help="A directory, or OWNER/NAME at the hub.")],
    out: OutArgument,
    verify: VerifyOption = False,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Take the tensors out of pickled weights that you trust.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read a Hugging Face model into a model directory."""
    from transept.hub.export import import_hf

    report = import_hf(source, out, check=verify, overwrite=overwrite, allow_pickle=allow_pickle, say=note)
    _told(out, report, as_json)


def export_model(
    model: ModelArgument,
    out: OutArgument,
    to: Annotated[Literal["hf"], typer.Option("--to", help="Whose form: hf is Hugging Face transformers'.")] = "hf",
    verify: VerifyOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a model for another library."""
    from transept.hub.directory import read_blank
    from transept.hub.export import export_hf

    assert to == "hf"
    report = export_hf(model, out, check=verify, overwrite=overwrite)
    generation = read_blank(out).generation
    if generation is not None and (unsaid := generation.unsaid()):
        note(f"Hugging Face's generate does not search quite as Transept does: {'; '.join(unsaid)}")
    _told(out, report, as_json)


def _told(out: Path, report: Report | None, as_json: bool) -> None:
    if as_json:
        from transept.hub.verify import Report

        emit((report or Report(out)).to_dict())
    else:
        print(report if report else f"{out}: written; --verify would compare it with transformers")
