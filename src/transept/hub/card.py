"""The model card: what a stranger needs to know of a model, written from the record of how it was made.

Nothing is guessed: what the record does not say is left out, and the licence is left to whoever publishes the model.
"""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from transept.data.tokenizer import Tokenizer
from transept.durable import replace_text
from transept.hub.files import member
from transept.hub.kinds import reads
from transept.hub.use import BEGIN, END, use
from transept.models import Model, Seq2Seq
from transept.topology import Topology

CURVE = "curve.png"
# The words on use that are ours: between marks, or as the first version wrote them.
OURS = re.compile(
    rf"{re.escape(BEGIN)}.*?{re.escape(END)}|## Use\n\n```python\nimport transept\n.*?(?=\n\n## |\Z)", re.DOTALL
)


@dataclass(frozen=True)
class Text:
    """A file that the model was trained or judged on, and how much of it."""

    split: str
    name: str
    count: int
    unit: str = "pairs"


@dataclass(frozen=True)
class Measure:
    """A score on a named split. `low` and `high` bound it with 95 % confidence; `signature` makes it comparable."""

    name: str
    split: str
    value: float
    low: float | None = None
    high: float | None = None
    signature: str | None = None


@dataclass(frozen=True)
class Record:
    """How a model came about. `curve` are the validations, each with "update" and numbers; `score` is the one shown.

    `samples` are pairs of an input and the model's own output, `example` an input that shows how to use it, else the
    first of them. `notes` are sentences that the card ends with.
    """

    title: str
    does: str = ""
    languages: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    texts: Sequence[Text] = ()
    measures: Sequence[Measure] = ()
    curve: Sequence[Mapping[str, Any]] = ()
    score: str = "loss"
    samples: Sequence[tuple[str, str]] = ()
    command: str = ""
    recipe: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    example: str = ""


@dataclass(frozen=True)
class Card:
    """The text of README.md and the pictures that it shows, by file name."""

    text: str
    pictures: Mapping[str, bytes] = field(default_factory=dict)


def write_card(
    record: Record,
    spec: Topology,
    parameters: int,
    architecture: str | None,
    tokenizer: Tokenizer | None,
    unsaid: Sequence[str] = (),
) -> Card:
    """The card of a model. `architecture` is Hugging Face's class where it can load the directory.

    `unsaid` is how their search differs from the model's own.
    """
    pictures = {CURVE: picture} if (picture := draw(record.curve, record.score)) else {}
    sections = [
        front(record, architecture),
        f"# {record.title}",
        what(record, spec, parameters),
        results(record.measures),
        examples(record.samples),
        use(spec, architecture, tokenizer, unsaid, record.example or next((text for text, _ in record.samples), "")),
        training(record, bool(pictures)),
        listed("Notes", record.notes),
        "## Licence\n\nNot stated yet: whoever publishes this model states it here, with the licence of its data.",
    ]
    return Card("\n\n".join(filter(None, sections)) + "\n", pictures)


def read_card(root: Path) -> Card | None:
    """The card that a model directory has, with the pictures beside it that it shows."""
    if not (root / "README.md").is_file():
        return None
    text = member(root, "README.md").read_text(encoding="utf-8", errors="replace")
    shown = dict.fromkeys(re.findall(r"!\[[^\]\n]*\]\(([\w.-]+\.png)\)", text))
    return Card(text, {name: member(root, name).read_bytes() for name in shown if (root / name).is_file()})


def fitted(
    card: Card, spec: Topology, architecture: str | None, tokenizer: Tokenizer | None, unsaid: Sequence[str] = ()
) -> Card:
    """A card that came along, its words on use made again for where it lies now; the words of others stay as they are.

    What we wrote on use stands between two marks (in cards of the first version under its title), and the example in it
    is kept.
    """
    found = OURS.search(card.text)
    if found is None:
        return card
    shown = re.search(r'model\.\w+\((\(?)(?=")', found[0])
    example = ""
    if shown:
        first, end = json.JSONDecoder().raw_decode(found[0], shown.end())
        pair = [first, json.JSONDecoder().raw_decode(found[0], end + len(", "))[0]] if shown[1] else [first]
        example = "\t".join(map(str, pair))
    words = use(spec, architecture, tokenizer, unsaid, example)
    return Card(card.text[: found.start()] + words + card.text[found.end() :], card.pictures)


def renamed(card: Card, old: str, new: str) -> Card:
    """A card whose title is nothing but the name of the directory that it lay in, with the new one's."""
    return Card(card.text.replace(f"\n# {old}\n", f"\n# {new}\n", 1), card.pictures)


def front(record: Record, architecture: str | None) -> str:
    """The card's head in YAML, which model hubs index."""
    lines = [f"library_name: {'transformers' if architecture else 'transept'}", "tags:", "- transept"]
    if record.languages:
        lines = ["language:", *(f"- {json.dumps(language)}" for language in record.languages), *lines]
    return "\n".join(["---", *lines, "---"])


def what(record: Record, spec: Topology, parameters: int) -> str:
    """One paragraph: what it is, how large, what it does."""
    kind = "A model"
    if isinstance(spec, Model):
        kind = f"A {spec.stack.noun}"
    elif isinstance(spec, Seq2Seq):
        kind = f"An encoder-decoder {spec.decoder.noun}"
    if isinstance(spec, Model) and (entering := reads(spec)) != "text":
        kind += f" that reads {entering},"
    body = f"{kind} of {parameters:,} parameters, made with Transept."
    rows = [f"- {name}: {text}" for name, text in record.facts.items() if name != "title"]
    return "\n\n".join(filter(None, [f"{body} {record.does}".strip(), "\n".join(rows)]))


def results(measures: Sequence[Measure]) -> str:
    """A table of scores; one without its signature cannot be compared, so the signature stands beside it."""
    if not measures:
        return ""
    rows = ["## Results", "", "| measure | data | value | 95 % interval | signature |", "|---|---|---:|---|---|"]
    for measure in measures:
        interval = "" if measure.low is None or measure.high is None else f"{measure.low:.2f} to {measure.high:.2f}"
        signature = f"`{measure.signature}`".replace("|", "\\|") if measure.signature else ""
        rows.append(
            f"| {cell(measure.name)} | {cell(measure.split)} | {measure.value:.2f} | {interval} | {signature} |"
        )
    return "\n".join(rows)


def examples(samples: Sequence[tuple[str, str]]) -> str:
    """What went in and what came out, as it was."""
    if not samples:
        return ""
    rows = [f"| {cell(source)} | {cell(output)} |" for source, output in samples]
    return "\n".join(["## Examples", "", "| in | out |", "|---|---|", *rows])


def cell(text: str) -> str:
    """A text inside a table: its own signs must not become the table's."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())


def training(record: Record, drawn: bool) -> str:
    """Where it comes from: the data, the curve, the command, the whole recipe."""
    parts = []
    if record.texts:
        rows = [f"| {text.split} | {cell(text.name)} | {text.count:,} {text.unit} |" for text in record.texts]
        parts.append("\n".join(["| split | files | used |", "|---|---|---:|", *rows]))
    if drawn:
        parts.append(f"![{record.score} and loss on the validation data]({CURVE})")
    if record.command:
        parts.append(f"Made by\n\n```\n{record.command}\n```")
    if record.recipe:
        parts.append(f"with the recipe\n\n```yaml\n{record.recipe.strip()}\n```")
    if record.versions:
        parts.append("Versions: " + ", ".join(f"{name} {version}" for name, version in record.versions.items()) + ".")
    return "\n\n".join(["## Training", *parts]) if parts else ""


def listed(title: str, sentences: Sequence[str]) -> str:
    """A section of sentences, or nothing."""
    return "\n".join([f"## {title}", "", *(f"- {sentence}" for sentence in sentences)]) if sentences else ""


def draw(curve: Sequence[Mapping[str, Any]], score: str) -> bytes | None:
    """The validations as a small picture: the loss and the score over updates. None with fewer than two of them."""
    points = [point for point in curve if isinstance(point.get("update"), int) and number(point.get("loss"))]
    if len(points) < 2:
        return None
    from matplotlib.figure import Figure  # a second to load, and only some callers draw

    figure = Figure(figsize=(6, 2.5), dpi=110, layout="constrained")
    names = ["loss"] + ([score] if score != "loss" and all(number(point.get(score)) for point in points) else [])
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        axes.plot([point["update"] for point in points], [point[name] for point in points], color="#30638e")
        axes.set_title(f"{name}, validation", fontsize=9)
        axes.set_xlabel("update", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def number(value: Any) -> bool:
    """A number that can be drawn."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value and abs(value) < 1e300


def noted(root: Path, target: Path, how: str) -> Record | Card:
    """The card of the model in `root`, for what was made of it in `target`: under its title it says how."""
    sentence = f"Made of {root.parent.name if root.name == 'model' else root.name} {how}"
    card = read_card(root)
    if card is None:
        return Record(target.name, notes=(sentence,))
    card = renamed(card, root.name, target.name)
    title = next((line for line in card.text.splitlines() if line.startswith("# ")), None)
    text = card.text.replace(title, f"{title}\n\n{sentence}", 1) if title else f"{sentence}\n\n{card.text}"
    return replace(card, text=text)


def set_section(root: Path, title: str, text: str) -> None:
    """Put a section into the card of a model directory, before its notes and its licence, in the place of an earlier
    one of the title; "" takes it away."""
    path = root / "README.md"
    before = path.read_text(encoding="utf-8")
    card = re.sub(rf"\n## {re.escape(title)}\n.*?(?=\n## |\Z)", "", before, flags=re.DOTALL)
    if text:
        at = next((at for name in ("Notes", "Licence") if (at := card.find(f"\n## {name}\n")) >= 0), len(card))
        card = f"{card[:at]}\n## {title}\n\n{text}\n{card[at:]}"
    if card != before:
        replace_text(path, card)
