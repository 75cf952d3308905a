"""The command `transept`: one small file per verb. Nothing here loads torch before a verb runs."""

from __future__ import annotations

from typing import Annotated

import typer

import transept
from transept.cli import (
    align,
    answer,
    average,
    caption,
    check,
    classify,
    convert,
    demo,
    doctor,
    embed,
    evaluate,
    fill,
    generate,
    hear,
    hub,
    look,
    probe,
    prune,
    recipes,
    see,
    show,
    summarize,
    tag,
    train,
    transcribe,
    translate,
    why,
)
from transept.cli.common import USAGE, listing

EXAMPLES = (
    "transept demo                                        train a date translator here, now",
    "transept train transformer-tiny-multi30k data.dir=D  train the 2017 Transformer on files of yours",
    'transept translate runs/demo "<2de> 5 March 2026"    use what was trained',
)

app = typer.Typer(
    name="transept",
    help="The Transformer family from one set of parts: train, decode, compare, and hand the result to others.",
    epilog=listing("Examples:", EXAMPLES),
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def show_version(asked: bool) -> None:
    if asked:
        print(f"transept {transept.__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(USAGE)


TRAINING = (demo, train, check, recipes)
USING = (translate, summarize, generate, answer, fill, classify, tag, embed, see, hear, caption, transcribe)
EXPLAINING = (look, why, align, probe, prune)
for verbs in (*TRAINING, *USING, *EXPLAINING, evaluate, show, average, hub, convert, doctor):
    verbs.add(app)


def main() -> None:
    """Run the command line and leave with its exit code."""
    app(prog_name="transept")
