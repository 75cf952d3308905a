"""`transept eval`: the loss and the scores of a model, with intervals and the signatures that repeat them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, emit, note, say, verb
from transept.cli.lines import split_settings
from transept.errors import InvalidConfig, InvalidData, UsageError

if TYPE_CHECKING:
    from transept.data.pairs import Pairs
    from transept.recipes.recipe import Recipe
    from transept.tasks.measure import Measured


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept eval runs/multi30k",
        "transept eval runs/multi30k --split valid method=greedy",
        "transept eval runs/mine --data test.en --data test.de --tokenize none --json",
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
            "--data", metavar="FILE", help="Pairs: one TSV or JSONL file, or two aligned files (twice --data)."
        ),
    ] = None,
    split: Annotated[
        Literal["test", "valid"] | None, typer.Option("--split", help="Of the run's recipe; test where it has one.")
    ] = None,
    tokenize: Annotated[
        str | None, typer.Option("--tokenize", help="sacreBLEU's tokeniser; else the recipe's, else 13a.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the translations there, a line each.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let --out replace a file.")] = False,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Score a model: loss, BLEU, chrF, exact match.

    BLEU and chrF are sacreBLEU's, with 95 % intervals and the signatures that repeat them.
    """
    from transept.data.cache import tokenise
    from transept.data.subwords import Subwords
    from transept.decode.config import Search
    from transept.models import Seq2SeqLayer
    from transept.tasks.measure import demand_fitting, measure
    from transept.tasks.score import RESAMPLES
    from transept.use.loaded import load

    changes, strange = split_settings(settings or [], Search.model_fields)
    if strange:
        raise UsageError(f"{strange[0]!r} is no setting of the search", remedy="Files are named by --data.")
    if data and split:
        raise UsageError("--data and --split were both given", remedy="Leave one of them out.")
    if out is not None:
        demand_free(out, overwrite)
    loaded = load(model, device=device, say=note)
    if not isinstance(loaded.model, Seq2SeqLayer) or not isinstance(loaded.tokenizer, Subwords):
        raise UsageError("only a model whose vocabulary was learned here, from text to text, is scored so", where=model)
    search = loaded.settings(**changes)
    recipe = recipe_of(model)
    name, pairs = chosen(recipe, data, split)
    if out is not None and out.resolve() in {path.resolve() for path in pairs.files}:
        raise UsageError("--out would replace what is scored", where=out, remedy="Write the translations elsewhere.")
    if report := pairs.report():
        say(report)
    begun = time.monotonic()
    found = measure(
        loaded.model,
        loaded.tokenizer,
        demand_fitting(tokenise(pairs, loaded.tokenizer, None, say), loaded.longest),
        search,
        tokenize=tokenize or (recipe.evaluate.tokenize if recipe else "13a"),
        case="lower" if recipe and recipe.data.vocabulary.lower else "mixed",
        batch_tokens=search.batch_tokens,
        resamples=RESAMPLES,
    )
    seconds = time.monotonic() - begun
    if out is not None:
        out.write_text("".join(f"{line}\n" for line in found.outputs), encoding="utf-8")
    files = [str(path) for path in pairs.files]
    told = {"model": str(model), "split": name, "files": files, "pairs": len(pairs)}
    if as_json:
        emit(told | values(found) | {"search": search.model_dump(), "seconds": round(seconds, 3)})
        return
    print(f"{name}: {len(pairs):,} pairs of {', '.join(files)}")
    print(f"search: {spoken(search.model_dump())}\n")
    print(f"{'loss':<12} {found.loss:.4f} nats a token, perplexity {found.perplexity:.3f}, {found.tokens:,} tokens")
    for score in found.scores:
        low, high = score.interval or (score.value, score.value)
        print(f"{score.name:<12} {score.value:.2f}  [{low:.2f}, {high:.2f}]  {score.signature}")
    print(f"\nin {seconds:.1f} s, {len(pairs) / seconds:.1f} pairs a second")


def demand_free(out: Path, overwrite: bool) -> None:
    """Refuse, before anything is translated, a file that is there or could not be written. Devices are no files."""
    if out.is_dir() or not out.parent.is_dir():
        raise UsageError("this is a directory" if out.is_dir() else "its directory is not there", where=out)
    if out.is_file() and not overwrite:
        raise UsageError("this file is there already", where=out, remedy="Name another, or replace it by --overwrite.")


def recipe_of(model: Path) -> Recipe | None:
    """The recipe beside a model: of the run that it is, or that it lies in."""
    from transept.recipes.recipe import load_recipe

    found = next((place for place in (model, model.parent) if (place / "config.yaml").is_file()), None)
    return load_recipe(found) if found else None


def chosen(recipe: Recipe | None, data: list[str] | None, split: str | None) -> tuple[str, Pairs]:
    """What is scored, and its pairs."""
    from transept.data.config import PairsData
    from transept.data.pairs import read_entry, read_pairs

    if data:
        if len(data) > 2:
            raise UsageError(f"--data was given {len(data)} times; pairs are in one file or in two")
        # Files on the command line start from where you are, not from the recipe's folder.
        plain = recipe.data.model_copy(update={"dir": None}) if recipe else PairsData()
        try:
            return "data", read_entry(plain, data[0] if len(data) == 1 else data, "--data")
        except InvalidConfig as error:
            raise InvalidData(error.what, where=error.where, remedy=error.remedy) from None
    if recipe is None:
        raise UsageError("the model has no run beside it that says what to score", remedy="Name files by --data.")
    if split is None:
        split = "test" if recipe.data.test is not None else "valid"
        say(f"scoring the {split} split; --split and --data choose others")
    return split, read_pairs(recipe.data, "test" if split == "test" else "valid")


def values(found: Measured) -> dict[str, Any]:
    """The numbers for machines: each score with its interval and signature."""
    each = {}
    for name, score in zip(("bleu", "chrf", "exact_match"), found.scores, strict=True):
        low, high = score.interval or (None, None)
        each[name] = {"value": score.value, "low": low, "high": high, "signature": score.signature}
    return {"loss": found.loss, "ppl": found.perplexity, "tokens": found.tokens, **each}


def spoken(search: dict[str, Any]) -> str:
    """The settings that matter to a method, as one would type them."""
    shared = ["method", "max_ratio", "max_extra"]
    own = {"beam": ["beam", "penalty", "length_penalty", "stop"], "sample": ["temperature", "top_k", "top_p", "seed"]}
    return " ".join(f"{key}={search[key]}" for key in shared + own.get(search["method"], []))
