"""`transept prune`: a model without the heads that matter least."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, OverwriteOption, emit, note, say, verb
from transept.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transept.inspect.example import Example
    from transept.use.loaded import Loaded

LIMIT = 200


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept prune runs/multi30k models/pruned --heads 20% --data valid.en --data valid.de",
        "transept prune runs/sst2 models/pruned --heads 20% --data dev.csv          # a classifier, against its labels",
        "transept prune models/gpt2 models/gpt2-small --heads 24 --data texts.txt --figure heads.png",
        "transept prune models/llama models/llama-even --heads 25% --even --data texts.txt   # exports to Hugging Face",
    )(prune)


def prune(
    model: ModelArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where the smaller model goes.")],
    heads: Annotated[str, typer.Option("--heads", metavar="N|SHARE", help="How many heads go: 12, 20% or 0.2.")],
    data: Annotated[
        list[str],
        typer.Option("--data", metavar="FILE", help="Texts: lines, a table, or pairs as for eval."),
    ],
    even: Annotated[bool, typer.Option("--even", help="As many from every attention.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="So many texts of the data.")] = LIMIT,
    figure: Annotated[Path | None, typer.Option("--figure", help="Draw importance by head: .png or .svg.")] = None,
    overwrite: OverwriteOption = False,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Cut the heads that matter least out of a model.

    How much a head matters is told by the gradient of the loss on texts (Michel et al. 2019): of a model that writes
    text, by that of the text; of a classifier, by that of the labels of a table, and on texts alone by that of its own
    answers. The weights of the heads that go are gone: the model is smaller, and equal to the larger one with these
    heads silenced.
    """
    from transept.hub.described import saying
    from transept.hub.directory import check_free
    from transept.inspect.figure import demand_kind
    from transept.inspect.importance import importance, least, loss_of
    from transept.inspect.prune import prunable, units
    from transept.inspect.prune import prune as without
    from transept.use.kinds import demand_text
    from transept.use.loaded import load

    check_free(out, overwrite)
    if figure is not None:
        demand_kind(figure)
    loaded = load(model, device=device, say=note)
    demand_text(loaded.spec, "prune", loaded.path)
    own = {name: layer.spec.heads for name, layer in prunable(loaded.model).items()}
    if not own:
        raise UsageError("this model has no attention that heads can be cut out of", where=loaded.path)
    count = wanted(heads, sum(own.values()))
    texts, against = examples(loaded, data, limit)
    scores = importance(loaded.model, texts, loss_of)
    chosen = least(units(loaded.model, scores), own, count, even=even)
    gone = sum(map(len, chosen.values()))
    if gone < count:
        say(f"{gone} heads go where {count} were asked for: more cannot go together (each attention keeps one)")
    smaller = without(loaded.model, chosen)
    sizes = [sum(parameter.numel() for parameter in one.parameters()) for one in (loaded.model, smaller)]
    losses = [mean_loss(texts)]
    before, loaded.model, loaded.spec = loaded.model, smaller, smaller.spec
    losses.append(mean_loss([replace(one, model=smaller) for one in texts]))
    loaded.save_pretrained(out, overwrite=overwrite)
    if figure is not None:
        draw(figure, scores, chosen)
    family = saying(smaller.spec, str(loaded.beside.get("model_type", "")))
    theirs = family is not None
    if saying(before.spec) is not None and not theirs:
        say(
            "Hugging Face's configurations have one number of heads for all layers: this is a model of Transept's own"
            + ("" if even else " (--even cuts as many from each)")
        )
    told: dict[str, Any] = {
        "model": str(out),
        "heads": sum(own.values()) - gone,
        "removed": chosen,
        "parameters": sizes,
        "loss": losses,
        "texts": len(texts),
        "against": against,
        "hugging_face": theirs,
    }
    if as_json:
        emit(told)
        return
    print(f"{out}: {told['heads']} of {sum(own.values())} heads, {sizes[1]:,} of {sizes[0]:,} parameters")
    for name, cut in chosen.items():
        print(f"  {name:<34} without {', '.join(map(str, cut))}")
    print("heads count from 0 here, on the page of `transept look` from 1")
    print(f"loss a text on {len(texts):,} texts, against {against}: {losses[0]:.4f} before, {losses[1]:.4f} now")


def wanted(heads: str, count: int) -> int:
    """How many heads 12, 20% or 0.2 are. Raises UsageError."""
    try:
        share = float(heads[:-1]) / 100 if heads.endswith("%") else float(heads) if "." in heads else None
        number = int(heads) if share is None else int(share * count)
    except ValueError:
        raise UsageError(f"--heads is a number or a share, not {heads!r}", remedy="Write 12, 20% or 0.2.") from None
    if number < 1 or (share is not None and share >= 1):
        raise UsageError(f"--heads {heads} of {count} heads cuts {'nothing' if number < 1 else 'all'}")
    return number


def examples(loaded: Loaded, data: Sequence[str], limit: int) -> tuple[list[Example], str]:
    """The texts as the model reads them, pairs where it has two stacks and writes; and against what their loss is."""
    from transept.data.config import PairsData
    from transept.data.labelled_texts import is_table
    from transept.data.lines import read_lines
    from transept.data.pairs import read_entry
    from transept.inspect.importance import text_of
    from transept.models import Seq2SeqLayer

    if isinstance(loaded.model, Seq2SeqLayer) and loaded.generation is not None:
        if len(data) > 2:
            raise UsageError(f"--data was given {len(data)} times; pairs are in one file or in two")
        pairs = read_entry(PairsData(), data[0] if len(data) == 1 else list(data))
        both = list(zip(pairs.source, pairs.target, strict=True))[:limit]
        return [loaded.explain(one, other) for one, other in both], "the targets"
    found: list[Example] = []
    labelled = False
    for file in data:
        if is_table(Path(file)):
            rows = of_table(loaded, Path(file), limit - len(found))
            labelled = labelled or any(one.right is not None for one in rows)
            found += rows
        else:
            lines = [line for line in read_lines(Path(file)) if line.strip()]
            found += [loaded.explain(line) for line in lines[: limit - len(found)]]
    if not found:
        raise UsageError("the data has no text", where=data[0])
    if labelled and any(one.right is None for one in found):
        raise UsageError("some of the data have labels and some have none", remedy="Give those alone that have some.")
    if labelled:
        return found, "the labels"
    if text_of(found[0]) is not None:
        return found, "the texts"
    return [answered(one) for one in found], "what the whole model answers"


def of_table(loaded: Loaded, path: Path, limit: int) -> list[Example]:
    """The rows of a table, with their labels where there are some and the model scores classes or a number."""
    import torch

    from transept.data.classes import amounts, by_number, numbered
    from transept.data.config_senses import LabelledData
    from transept.data.labelled_texts import USUAL, read_labelled_texts
    from transept.data.tables import NoColumn
    from transept.models import Model
    from transept.tasks.begun import count_of

    count = count_of(loaded.spec.head) if isinstance(loaded.spec, Model) else 0
    try:
        table = read_labelled_texts(path, LabelledData(), note, labelled=count == 1)
    except NoColumn as error:
        named = f"The first line names the columns: the text's is {', '.join(USUAL['text'])}"
        named += f"; the label's is {', '.join(USUAL['label'])}." if count == 1 else ". Or give lines of texts."
        raise NoColumn(**error.fields(remedy=named)) from None
    rows = table.select(range(min(limit, len(table))))
    given = [
        one if rows.others is None or not count else (one, other)
        for one, other in zip(rows.texts, rows.others or rows.texts, strict=True)
    ]
    found = [loaded.explain(one) for one in given]
    if "label" not in rows.said or not count:
        return found
    labels = rows.said["label"]
    if count == 1:
        right = torch.tensor(amounts(labels, rows.where), dtype=torch.float32)
    else:
        names = loaded.labels or tuple(map(str, range(count)))
        labels = by_number(labels, names, rows.classes, path, "the model's classes", note)
        right = torch.from_numpy(numbered(labels, names, rows.where, "the model's classes"))
    return [replace(one, right=own) for one, own in zip(found, right, strict=True)]


def answered(example: Example) -> Example:
    """An example whose right answer is the likeliest of the whole model."""
    import torch

    with torch.no_grad():
        logits = example.logits()
        return example if logits.numel() == 1 else replace(example, right=logits.argmax(-1))


def mean_loss(texts: Sequence[Example]) -> float:
    """The mean loss of a text, in nats."""
    import torch

    from transept.inspect.importance import loss_of

    with torch.no_grad():
        return float(torch.stack([loss_of(one) for one in texts]).mean())


def draw(file: Path, scores: Any, chosen: Any) -> None:
    """Importance by attention and head; the heads that go have a cross in their name."""
    import torch

    from transept.inspect.figure import heat

    most = max(map(len, scores.values()))
    values = torch.stack([torch.nn.functional.pad(one.float(), (0, most - len(one))) for one in scores.values()])
    rows = [f"{name}  without {', '.join(map(str, chosen[name]))}" if name in chosen else name for name in scores]
    heat(file, values, rows, [str(at) for at in range(most)], title="importance", sides="attention,head")
