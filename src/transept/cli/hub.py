"""`transept import` and `transept export`: models from others, and for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from transept.cli.common import ModelArgument, OverwriteOption, say, verb

OutArgument = Annotated[Path, typer.Argument(metavar="OUT", help="The new model directory.")]


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept import ./marian-dir models/marian --verify",
        "transept import OWNER/NAME models/theirs",
        name="import",
    )(import_model)
    verb(app, "transept export runs/demo out/ --to hf --verify", name="export")(export_model)


def import_model(
    source: Annotated[str, typer.Argument(metavar="HF_DIR_OR_ID", help="A directory, or OWNER/NAME at the hub.")],
    out: OutArgument,
    verify: Annotated[bool, typer.Option("--verify", help="Compare with what transformers makes of it.")] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Read a Hugging Face model into a model directory."""
    from transept.hub.export import import_hf

    report = import_hf(source, out, check=verify, overwrite=overwrite)
    print(report if report else f"{out}: written; --verify would compare it with transformers")


def export_model(
    model: ModelArgument,
    out: OutArgument,
    to: Annotated[Literal["hf"], typer.Option("--to", help="Whose form: hf is Hugging Face transformers'.")] = "hf",
    verify: Annotated[bool, typer.Option("--verify", help="Load it there and compare numbers and tokens.")] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Write a model for another library."""
    from transept.hub.directory import read_generation
    from transept.hub.export import export_hf

    assert to == "hf"
    report = export_hf(model, out, check=verify, overwrite=overwrite)
    if unsaid := read_generation(out).unsaid():
        say(f"note: Hugging Face's generate does not search quite as Transept does: {'; '.join(unsaid)}")
    print(report if report else f"{out}: written; --verify would compare it with transformers")
