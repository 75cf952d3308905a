"""`transept eval`: the loss and the scores of a model, with intervals and the signatures that repeat them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, emit, note, say, verb
from transept.cli.lines import split_settings
from transept.cli.prompting import (
    BETWEEN,
    BalancedOption,
    ByOption,
    ChoicesOption,
    ColumnsOption,
    DrawsOption,
    GroupOption,
    PairsOption,
    Question,
    SeedOption,
    SeparatorOption,
    ShotsFromOption,
    ShotsOption,
    Showing,
    TaskTableOption,
    TemplateOption,
    ask,
    unasked,
)
from transept.cli.searching import Searching
from transept.errors import UsageError

if TYPE_CHECKING:
    from transept.tasks.exam import Exam
    from transept.tasks.measure import Measured
    from transept.tasks.settings.recipe import Recipe


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept eval runs/multi30k",
        "transept eval runs/multi30k --split valid method=greedy",
        "transept eval runs/mine --data test.en --data test.de --tokenize none --json",
        "transept eval runs/char-shakespeare --data play.txt",
        r'transept eval models/gpt2 --task-table dev.csv --template "{text}\nIt was {label}" --choices 1=good,0=bad',
        "transept eval models/bert --pairs blimp/anaphor_number_agreement.jsonl",
        kind=Searching,
        name="eval",
    )(evaluate)


def evaluate(
    model: ModelArgument,
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Search settings to change, such as beam=8.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="FILE",
            help="A file of pairs, two aligned files (twice --data), files of text, or a table or folder of pictures or"
            " sounds.",
        ),
    ] = None,
    split: Annotated[
        Literal["test", "valid"] | None, typer.Option("--split", help="Of the run's recipe; test where it has one.")
    ] = None,
    tokenize: Annotated[
        str | None, typer.Option("--tokenize", help="sacreBLEU's tokeniser; else the recipe's, else 13a.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the answers there, a line each.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let --out replace a file.")] = False,
    task_table: TaskTableOption = None,
    template: TemplateOption = None,
    choices: ChoicesOption = None,
    shots: ShotsOption = 0,
    shots_from: ShotsFromOption = None,
    balanced: BalancedOption = False,
    draws: DrawsOption = 1,
    seed: SeedOption = 0,
    separator: SeparatorOption = BETWEEN,
    by: ByOption = "sum",
    pairs: PairsOption = None,
    group: GroupOption = None,
    columns: ColumnsOption = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Score a model: loss, and what else its task measures.

    That is BLEU of translations, accuracy of classes, word errors of speech; of a model of running text perplexity and
    bits a character, or how many masked tokens are told right. Scores have 95 % intervals and the signatures that
    repeat them; BLEU and chrF are sacreBLEU's.

    With --task-table a model is asked without training: each row becomes a prompt by --template, behind as many
    examples as --shots says, and the likeliest of the --choices is its answer. With --pairs it is asked which of two
    sentences is likelier.
    """
    from transept.decode.config import Search
    from transept.hub.kinds import verb_of
    from transept.tasks.exam import Asked, Subject
    from transept.tasks.registry import task_class, task_of
    from transept.use.kinds import described
    from transept.use.loaded import load

    asked = Question(task_table, template, choices, separator, columns)
    showing = Showing(shots, shots_from, balanced, draws, seed)
    if task_table is not None or pairs is not None:
        plain = {"--data": data, "--split": split, "--tokenize": tokenize, "a setting of the search": settings}
        if other := next((name for name, value in plain.items() if value), None):
            raise UsageError(f"{other} is for what a model was trained to do, and this asks it without training")
        if out is not None:
            demand_free(out, overwrite)
        ask(load(model, device=device, say=note), asked, showing, by, pairs, group, out, as_json)
        return
    if alone := unasked(asked, showing, by, group):
        raise UsageError(f"{alone} is for --task-table or --pairs, and neither was given")
    changes, strange = split_settings(settings or [], Search.model_fields)
    if strange:
        raise UsageError(f"{strange[0]!r} is no setting of the search", remedy="Files are named by --data.")
    if data and split:
        raise UsageError("--data and --split were both given", remedy="Leave one of them out.")
    if out is not None:
        demand_free(out, overwrite)
    loaded, recipe = load(model, device=device, say=note), recipe_of(model)
    task = task_class(recipe.task) if recipe else task_of(verb_of(loaded.spec), described(loaded.spec))
    # What writes no text has no search, and then no setting of one.
    search = loaded.settings(**changes) if changes or loaded.generation is not None else Search()
    subject = Subject(
        model,
        loaded.model,
        loaded.tokenizer,
        search,
        loaded.processor,
        loaded.longest,
        loaded.labels,
        loaded.generation,
    )
    exam: Exam = task.exam(subject, Asked(recipe, tuple(data or ()), split, tokenize, say))
    if not exam.searched and (changes or tokenize):
        given = next(iter(changes), "--tokenize")
        raise UsageError(
            f"{given!r} is for models that search for texts", remedy="This one searches for none: leave it out."
        )
    if not exam.answers and out is not None:
        raise UsageError(
            "--out is for models whose answers are scored", remedy="This one's loss is measured: leave it out."
        )
    if out is not None and out.resolve() in {path.resolve() for path in exam.files}:
        raise UsageError("--out would replace what is scored", where=out, remedy="Write the answers elsewhere.")
    begun = time.monotonic()
    found = exam.take()
    seconds = time.monotonic() - begun
    if out is not None:
        out.write_text("".join(f"{line}\n" for line in found.outputs), encoding="utf-8")
    files = [str(path) for path in exam.files]
    told = {"model": model, "split": exam.name, "files": files, exam.unit: exam.count}
    if as_json:
        searched = {"search": search.model_dump()} if exam.searched else {}
        emit(told | values(found) | searched | {"seconds": round(seconds, 3)})
        return
    print(f"{exam.name}: {exam.count:,} {exam.unit}" + (f" of {', '.join(files)}" if files else ""))
    print(f"search: {spoken(search.model_dump())}\n" if exam.searched else "")
    for line in table(found):
        print(line)
    print(f"\nin {seconds:.1f} s, {exam.count / seconds:.1f} {exam.unit} a second")


def table(found: Measured) -> list[str]:
    """A line for each measure: its name, its number, its interval and what repeats it, one below the other."""
    from transept.tasks.task import article

    rest = f", perplexity {found.perplexity:.3f}, {found.tokens:,} tokens" if found.perplexed() else ""
    rows = [("loss", f"{found.loss:.4f}", f"{found.unit} {article(found.each)} {found.each}{rest}")]
    both = [score.interval or (score.value, score.value) for score in found.scores.values()]
    wide = max((len(f"{side:.2f}") for pair in both for side in pair), default=0)
    for score, (low, high) in zip(found.scores.values(), both, strict=True):
        around = f"[{low:{wide}.2f}, {high:{wide}.2f}]"
        rows.append((score.name, f"{score.value:.2f}", f"{around}  {score.signature}".rstrip()))
    rows += [(name.replace("_", " "), f"{value:.4g}", "") for name, value in found.more.items()]
    names, numbers = (max(len(row[at]) for row in rows) for at in (0, 1))
    return [f"{name:<{names}}  {number:>{numbers}}  {told}".rstrip() for name, number, told in rows]


def demand_free(out: Path, overwrite: bool) -> None:
    """Refuse, before anything is translated, a file that is there or could not be written. Devices are no files."""
    if out.is_dir() or not out.parent.is_dir():
        raise UsageError("this is a directory" if out.is_dir() else "its directory is not there", where=out)
    if out.is_file() and not overwrite:
        raise UsageError("this file is there already", where=out, remedy="Name another, or replace it by --overwrite.")


def recipe_of(model: str) -> Recipe | None:
    """The recipe beside a model: of the run that it is, or that it lies in."""
    from transept.recipes.recipe import load_recipe

    found = next((place for place in (Path(model), Path(model).parent) if (place / "config.yaml").is_file()), None)
    return load_recipe(found) if found else None


def values(found: Measured) -> dict[str, Any]:
    """The numbers for machines: each score with its interval and signature."""
    each = {}
    for name, score in found.scores.items():
        low, high = score.interval or (None, None)
        each[name] = {"value": score.value, "low": low, "high": high, "signature": score.signature}
    return {"loss": found.loss, **found.perplexed(), "tokens": found.tokens, **each, **found.more}


def spoken(search: dict[str, Any]) -> str:
    """The settings that matter to a method, as one would type them."""
    shared = ["method", "max_ratio", "max_extra"]
    own = {"beam": ["beam", "penalty", "length_penalty", "stop"], "sample": ["temperature", "top_k", "top_p", "seed"]}
    return " ".join(f"{key}={search[key]}" for key in shared + own.get(search["method"], []))
