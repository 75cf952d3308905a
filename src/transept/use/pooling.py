"""How a directory's texts are embedded: by the files of sentence-transformers, where they are there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transept.errors import InvalidConfig
from transept.heads.classes import Pool
from transept.hub.files import homes, read_json

Kind = Literal["mean", "class", "last"]
KINDS: dict[str, Pool] = {"mean": "mean", "class": "first", "last": "last"}
# sentence-transformers' words for what makes one vector of many.
THEIRS: dict[str, Kind] = {"mean": "mean", "cls": "class", "lasttoken": "last"}
OLDER: dict[str, Kind] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "class",
    "pooling_mode_lasttoken": "last",
}
STEPS = ("Transformer", "Pooling", "Normalize")  # of modules.json, those that can be honoured


@dataclass(frozen=True)
class Embedding:
    """How texts are embedded: what is pooled, whether vectors have length 1, the most tokens, and who says so."""

    pool: Kind = "mean"
    normalise: bool = False
    longest: int | None = None
    source: str = "nobody says more, so this is the default"

    def __str__(self) -> str:
        what = {"mean": "the mean of all states", "class": "the first state", "last": "the last state"}[self.pool]
        return f"{what}, {'' if self.normalise else 'not '}normalised ({self.source})"


def declared(root: Path) -> Embedding:
    """What the files of sentence-transformers say, modules.json before all; the default where there are none.

    Raises InvalidConfig with the module that cannot be honoured.
    """
    if not (root / "modules.json").exists():
        return Embedding()
    modules = _listed(root)
    kinds = [str(module.get("type", "")).rsplit(".")[-1] for module in modules]
    for kind in kinds:
        if kind not in STEPS:
            raise InvalidConfig(f"the module {kind} is none of {', '.join(STEPS)}", where=root / "modules.json")
    longest = None
    if (inner := root / "sentence_bert_config.json").exists():
        longest = read_json(_inside(root, inner)).get("max_seq_length")
    pool: Kind = "mean"
    if "Pooling" in kinds:
        file = root / str(modules[kinds.index("Pooling")].get("path", "")) / "config.json"
        pool = _pool(read_json(_inside(root, file)), file)
    return Embedding(pool, "Normalize" in kinds, longest if type(longest) is int else None, "modules.json says so")


def _listed(root: Path) -> list[dict[str, Any]]:
    file = _inside(root, root / "modules.json")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidConfig(f"not valid JSON: {error}", where=file) from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InvalidConfig("not a list of modules", where=file)
    return found


def _inside(root: Path, file: Path) -> Path:
    """The file, which must lie in the model directory or where its download cache keeps files."""
    real = file.resolve()
    if not real.is_file() or not any(real.is_relative_to(home) for home in homes(root)):
        raise InvalidConfig("no such file in the model directory", where=file)
    return real


def _pool(config: dict[str, Any], file: Path) -> Kind:
    word = config.get("pooling_mode")
    if word is None:
        chosen = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
        if len(chosen) != 1 or chosen[0] not in OLDER:
            raise InvalidConfig(f"it pools by {' and '.join(chosen) or 'nothing'}", where=file, remedy=_known())
        return OLDER[chosen[0]]
    if word not in THEIRS:
        raise InvalidConfig(f"it pools by {word!r:.40}", where=file, remedy=_known())
    return THEIRS[word]


def _known() -> str:
    return "Transept pools by the mean, the class token or the last token: pool=mean chooses one in spite of the file."
