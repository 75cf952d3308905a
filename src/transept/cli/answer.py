"""`transept answer`: questions about a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, emit, note, say, verb
from transept.cli.lines import FileOption, Lines, parted
from transept.errors import UsageError

if TYPE_CHECKING:
    from transept.use.answer import Answer

TOGETHER = 16  # questions that are answered together

QuestionsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[QUESTION]... [CONTEXT]", help="Else lines of stdin.")
]


def add(app: typer.Typer) -> None:
    verb(
        app,
        'transept answer models/squad "Who wrote it?" "Faust was written by Goethe."',
        "transept answer models/squad -f questions.txt --context-file article.txt",
        "cat questions-and-contexts.tsv | transept answer models/squad --json",
    )(answer)


def answer(
    model: ModelArgument,
    questions: QuestionsArgument = None,
    file: FileOption = None,
    context: Annotated[str | None, typer.Option("--context", help="The text that the answers stand in.")] = None,
    context_file: Annotated[Path | None, typer.Option("--context-file", help="The file that they stand in.")] = None,
    empty: Annotated[bool, typer.Option("--empty", help="Let the answer be that there is none.")] = False,
    scores: Annotated[bool, typer.Option("--scores", help="Put the probability and a TAB before each answer.")] = False,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Answer questions about a text.

    A question and its context; or questions about one --context; or lines, each a question, a TAB and its context. A
    context that is too long for the model is read in parts that overlap, which is said.
    """
    from transept.data.lines import read_lines
    from transept.use.loaded import load

    if context is not None and context_file is not None:
        raise UsageError("--context and --context-file were both given", remedy="Leave one of them out.")
    given = questions or []
    plain = bool(given) and context is None and context_file is None and not any("\t" in each for each in given)
    if plain and len(given) > 1:
        *given, context = given
    lines = Lines(given, file, TOGETHER, machine=as_json)
    loaded = load(model, device=device, say=note)
    loaded.demand_ready("answer")
    if plain and context is None:
        raise UsageError(
            "a question was given, and no text to answer it from",
            remedy="Give the text as the last argument, or by --context or --context-file.",
        )
    if context_file is not None:
        context = "\n".join(read_lines(context_file))

    def ask(batch: list[str], first: int) -> list[Answer]:
        if context is not None:
            return loaded.answer(batch, context, empty=empty, first=first)
        pairs = [parted(line, "the question and its context") for line in batch]
        return loaded.answer([q for q, _ in pairs], [c for _, c in pairs], empty=empty, first=first)

    for number, question, found in lines.answered(ask):
        if found.windows > 1:
            say(f"the context of question {number} was read in {found.windows} parts that overlap")
        if as_json:
            told = {name: getattr(found, name) for name in ("probability", "start", "end", "windows")}
            emit({"line": number, "source": question, "text": str(found)} | told)
        else:
            print(f"{found.probability:.4f}\t{found}" if scores else found)
    lines.end()
