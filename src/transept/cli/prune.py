"""`transept prune`: a model without the heads that matter least."""

from __future__ import annotations

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
        "transept prune models/gpt2 models/gpt2-small --heads 24 --data texts.txt --figure heads.png",
        "transept prune models/llama models/llama-even --heads 25% --even --data texts.txt   # exports to Hugging Face",
    )(prune)


def prune(
    model: ModelArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where the smaller model goes.")],
    heads: Annotated[str, typer.Option("--heads", metavar="N|SHARE", help="How many heads go: 12, 20% or 0.2.")],
    data: Annotated[
        list[str],
        typer.Option("--data", metavar="FILE", help="Texts that importance is measured on; pairs as for eval."),
    ],
    even: Annotated[bool, typer.Option("--even", help="As many from every attention.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="So many texts of the data.")] = LIMIT,
    figure: Annotated[Path | None, typer.Option("--figure", help="Draw importance by head: .png or .svg.")] = None,
    overwrite: OverwriteOption = False,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Cut the heads that matter least out of a model.

    How much a head matters is told by the gradient of the loss on texts (Michel et al. 2019). The weights of the heads
    that go are gone: the model is smaller, and equal to the larger one with these heads silenced.
    """
    from transept.hub.described import saying
    from transept.hub.directory import check_free
    from transept.inspect.figure import demand_kind
    from transept.inspect.importance import importance, least, loss_of
    from transept.inspect.prune import prunable, units
    from transept.inspect.prune import prune as without
    from transept.use.loaded import load

    check_free(out, overwrite)
    if figure is not None:
        demand_kind(figure)
    loaded = load(model, device=device, say=note)
    own = {name: layer.spec.heads for name, layer in prunable(loaded.model).items()}
    if not own:
        raise UsageError("this model has no attention that heads can be cut out of", where=loaded.path)
    count = wanted(heads, sum(own.values()))
    texts = examples(loaded, data, limit)
    scores = importance(loaded.model, texts, loss_of)
    chosen = least(units(loaded.model, scores), own, count, even=even)
    gone = sum(map(len, chosen.values()))
    if gone < count:
        say(f"{gone} heads go where {count} were asked for: more cannot go together (each attention keeps one)")
    smaller = without(loaded.model, chosen)
    sizes = [sum(parameter.numel() for parameter in one.parameters()) for one in (loaded.model, smaller)]
    losses = [mean_loss(texts)]
    before, loaded.model, loaded.spec = loaded.model, smaller, smaller.spec
    losses.append(mean_loss([type(one)(smaller, one.source, one.target, one.more) for one in texts]))
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
        "hugging_face": theirs,
    }
    if as_json:
        emit(told)
        return
    print(f"{out}: {told['heads']} of {sum(own.values())} heads, {sizes[1]:,} of {sizes[0]:,} parameters")
    for name, cut in chosen.items():
        print(f"  {name:<34} without {', '.join(map(str, cut))}")
    print(f"loss a text on {len(texts):,} texts: {losses[0]:.4f} before, {losses[1]:.4f} now")


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


def examples(loaded: Loaded, data: Sequence[str], limit: int) -> list[Example]:
    """The texts as the model reads them: pairs where it has two stacks and writes."""
    from transept.data.config import PairsData
    from transept.data.lines import read_lines
    from transept.data.pairs import read_entry
    from transept.models import Seq2SeqLayer

    if isinstance(loaded.model, Seq2SeqLayer) and loaded.generation is not None:
        if len(data) > 2:
            raise UsageError(f"--data was given {len(data)} times; pairs are in one file or in two")
        pairs = read_entry(PairsData(), data[0] if len(data) == 1 else list(data))
        return [loaded.explain(one, other) for one, other in list(zip(pairs.source, pairs.target, strict=True))[:limit]]
    lines = [line for file in data for line in read_lines(Path(file)) if line.strip()][:limit]
    if not lines:
        raise UsageError("the data has no text", where=data[0])
    return [loaded.explain(line) for line in lines]


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
