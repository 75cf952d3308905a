"""`transept align`: which word of a source stands for which word of its translation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, emit, note, say, verb
from transept.errors import InvalidData, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transept.inspect.align import Aligner, CrossMaps, Standing
    from transept.inspect.example import Row
    from transept.use.loaded import Loaded

SHOWN = 5  # heads that --heads lists
KNOWN = 200  # pairs of a run's own that the aligner is found by, where fewer are to be aligned


def add(app: typer.Typer) -> None:
    verb(
        app,
        'transept align runs/demo "<2de> 5 March 2026" "5. März 2026"',
        'transept align runs/demo "<2de> 5 March 2026" --figure alignment.svg   # of what the model says itself',
        "transept align runs/multi30k --data test.en --data test.de > links.txt",
        "transept align runs/multi30k --data test.en --data test.de --gold gold.txt --json",
        name="align",
    )(align)


def align(
    model: ModelArgument,
    source: Annotated[str | None, typer.Argument(metavar="[SOURCE]", help="A text.")] = None,
    target: Annotated[str | None, typer.Argument(metavar="[TARGET]", help="Its translation; else the model's.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="FILE", help="One file of pairs, or two aligned files (twice --data)."),
    ] = None,
    gold: Annotated[
        Path | None, typer.Option("--gold", help="Right links, a line for each pair: 0-0 sure, 0p0 possible.")
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", metavar="NAME:N", help="This head, as decoder.blocks.1.cross:3.")
    ] = None,
    heads: Annotated[
        bool, typer.Option("--heads", help="Show how well each head serves; :read is while a word is read.")
    ] = False,
    split: Annotated[bool, typer.Option("--split-at-spaces", help="A word is what stands between spaces.")] = False,
    null: Annotated[bool, typer.Option("--null", help="Leave words unlinked that look at no word.")] = False,
    figure: Annotated[Path | None, typer.Option("--figure", help="Draw the map of one pair: .png or .svg.")] = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Align the words of texts and translations.

    A head of the cross-attention says which word stands for which. It is found by itself, among all heads, from the
    texts that are aligned: the more they are, the surer. Files give a line of links for each pair, source-target.
    """
    from transept.inspect import align as aligning
    from transept.inspect.figure import demand_kind
    from transept.models import Seq2SeqLayer
    from transept.use.explain import source_row, spaced, target_row
    from transept.use.loaded import load

    if (source is None) == (data is None) or (data is not None and len(data) > 2):
        raise UsageError("align takes a text and its translation, or two aligned files by --data FILE --data FILE")
    if gold is not None and data is None:
        raise UsageError("--gold has a line for each pair of --data", remedy="Give the files of the pairs by --data.")
    if figure is not None:
        demand_kind(figure)
        if data is not None:
            raise UsageError("--figure draws one pair", remedy="Give it as two texts.")
    wanted = None if head is None else aligning.Aligner.parse(head)
    loaded = load(model, device=device, say=note)
    if not isinstance(loaded.model, Seq2SeqLayer) or loaded.model.spec.source_tokens is None:
        raise UsageError("only a model that reads a text and writes another aligns them", where=loaded.path)
    texts = pairs_of(loaded, source, target, data)

    def made(one: str, other: str) -> tuple[Row, Row]:
        cuts = (spaced(one), spaced(other)) if split else (None, None)
        return source_row(loaded, one, cuts[0]), target_row(loaded, other, cuts[1])

    rows = [made(*pair) for pair in texts]
    maps = aligning.cross_maps(loaded.model, rows)
    others = known_pairs(model) if wanted is None and len(rows) < KNOWN else []
    known = aligning.cross_maps(loaded.model, [made(*pair) for pair in others]) if others else maps
    standings = [] if wanted else aligning.standings(known)
    aligner = wanted or standings[0].aligner
    found = [aligning.align(maps.of(aligner, at), *pair, null=null) for at, pair in enumerate(rows)]
    told = scores(gold, found)
    if heads:
        show_heads(standings, as_json)
    if figure is not None:
        draw(figure, maps, aligner)
    if as_json:
        for at, ((one, other), links) in enumerate(zip(texts, found, strict=True)):
            emit(
                {"line": at + 1, "source": one, "target": other, "head": str(aligner)}
                | record(maps, aligner, at, links)
            )
        if told:
            emit(told)
        return
    say(f"head {aligner}" + ("" if wanted else f", found by itself from {len(known.pairs):,} pairs (--head sets it)"))
    if data is None:
        table(maps, aligner, found[0])
    else:
        for links in found:
            print(aligning.to_pharaoh(links))
    if told:
        say(f"alignment error rate {told['aer']:.4f} on {told['pairs']:,} pairs")


def pairs_of(
    loaded: Loaded, source: str | None, target: str | None, data: Sequence[str] | None
) -> list[tuple[str, str]]:
    """The pairs to align: two texts, a text with what the model writes for it, or those of files."""
    from transept.data.config import PairsData
    from transept.data.pairs import read_entry

    if data is not None:
        pairs = read_entry(PairsData(), data[0] if len(data) == 1 else list(data))
        if pairs.blank:
            raise InvalidData(f"line {pairs.first_blank} is empty on one side", where=pairs.files[0])
        return list(zip(pairs.source, pairs.target, strict=True))
    assert source is not None
    if target is None:
        target = str(loaded.translate(source) if "translate" in loaded.verbs else loaded.generate(source))
    return [(source, target)]


def known_pairs(model: str) -> list[tuple[str, str]]:
    """Some pairs of the validation data of a run, by which its aligner is found; none where the model is no run's."""
    from transept.cli.evaluate import recipe_of
    from transept.data.pairs import read_pairs
    from transept.tasks.settings.translation import TranslationRecipe

    recipe = recipe_of(model)
    if not isinstance(recipe, TranslationRecipe) or recipe.data.valid is None:
        return []
    try:
        pairs = read_pairs(recipe.data, "valid")
    except InvalidData:  # the files are elsewhere by now
        return []
    return list(zip(pairs.source, pairs.target, strict=True))[:KNOWN]


def scores(gold: Path | None, found: Sequence[Any]) -> dict[str, Any]:
    """The error rate against a file of right links."""
    from transept.data.lines import read_lines
    from transept.inspect.align import error_rate, read_pharaoh

    if gold is None:
        return {}
    lines = [read_pharaoh(line, f"{gold}, line {at}") for at, line in enumerate(read_lines(gold), 1)]
    if len(lines) != len(found):
        raise InvalidData(f"{len(lines):,} lines for {len(found):,} pairs", where=gold)
    rate = error_rate(found, [sure for sure, _ in lines], [possible for _, possible in lines])
    return {"aer": rate, "pairs": len(found)}


def record(maps: CrossMaps, aligner: Aligner, at: int, links: Any) -> dict[str, Any]:
    """What a machine is told of a pair."""
    from transept.inspect.align import content

    source, target = maps.pairs[at]
    columns = [i for i, word in enumerate(source.words) if not word.special]
    weights = maps.of(aligner, at)
    return {
        "source_words": [word.text for word in content(source)],
        "target_words": [word.text for word in content(target)],
        "links": [[i, j, round(float(weights[j, columns[i]]), 4)] for i, j in sorted(links, key=lambda link: link[1])],
    }


def table(maps: CrossMaps, aligner: Aligner, links: Any) -> None:
    """A line for each target word: what it stands for, and how much of its look goes there."""
    told = record(maps, aligner, 0, links)
    best = {j: (told["source_words"][i], weight) for i, j, weight in told["links"]}
    for at, word in enumerate(told["target_words"]):
        other, weight = best.get(at, ("-", 0.0))
        print(f"{word}\t{other}\t{weight:.2f}")


def show_heads(standings: Sequence[Standing], as_json: bool) -> None:
    """The best heads, with what makes them so."""
    if not as_json:
        say("heads count from 0, on the page from 1; :read looks one step later, while a word is read")
    for one in standings[:SHOWN]:
        told = {"content": one.content, "sharpness": one.sharpness, "agreement": one.agreement, "score": one.score}
        if as_json:
            emit({"head": str(one.aligner)} | {name: round(value, 4) for name, value in told.items()})
        else:
            say(f"  {one.aligner!s:<34} " + "  ".join(f"{name} {value:.2f}" for name, value in told.items()))


def draw(file: Path, maps: CrossMaps, aligner: Aligner) -> None:
    """The map of one pair."""
    from transept.inspect.align import content
    from transept.inspect.figure import heat

    source, target = maps.pairs[0]
    rows, columns = [word.text for word in content(target)], [word.text for word in source.words]
    heat(file, maps.of(aligner, 0), rows, columns, title=str(aligner), sides="the word that looks,what it looks at")
