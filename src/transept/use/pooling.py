"""How a directory's texts are embedded: by the files of sentence-transformers, where they are there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transept.errors import InvalidConfig
from transept.heads.classes import Pool

Kind = Literal["mean", "class", "last"]
KINDS: dict[str, Pool] = {"mean": "mean", "class": "first", "last": "last"}
# sentence-transformers' words for what makes one vector of many.
THEIRS: dict[str, Kind] = {"mean": "mean", "cls": "class", "lasttoken": "last"}
OLDER: dict[str, Kind] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "class",
    "pooling_mode_lasttoken": "last",
}
MODULES, TRANSFORMER = "modules.json", "sentence_bert_config.json"
PROMPTS = "config_sentence_transformers.json"
UNDONE = "Do it to the texts, and take the key out: nothing is done to them in silence."
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


def declared(files: Mapping[str, str], root: Path) -> Embedding:
    """What the files of sentence-transformers say, modules.json before all; the default where there are none.

    `files` are their texts by their names in the directory `root`. Raises InvalidConfig with the module that cannot be
    honoured.
    """
    if MODULES not in files:
        return Embedding()
    listed = _parsed(files, MODULES, root)
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise InvalidConfig("not a list of modules", where=root / MODULES)
    kinds = [str(module.get("type", "")).rsplit(".")[-1] for module in listed]
    for kind in kinds:
        if kind not in STEPS:
            raise InvalidConfig(f"the module {kind} is none of {', '.join(STEPS)}", where=root / MODULES)
    about = _table(files, TRANSFORMER, root) if TRANSFORMER in files else {}
    if about.get("do_lower_case"):
        raise InvalidConfig(
            "do_lower_case: texts would be lower-cased before the tokenizer", where=root / TRANSFORMER, remedy=UNDONE
        )
    if PROMPTS in files and (prompt := _table(files, PROMPTS, root).get("default_prompt_name")):
        raise InvalidConfig(
            f"default_prompt_name: every text would begin with the prompt {prompt!r:.40}",
            where=root / PROMPTS,
            remedy=UNDONE,
        )
    longest = about.get("max_seq_length")
    pool: Kind = "mean"
    if "Pooling" in kinds:
        file = f"{listed[kinds.index('Pooling')].get('path', '')}/config.json"
        pool = _pool(_table(files, file, root), root / file)
    return Embedding(pool, "Normalize" in kinds, longest if type(longest) is int else None, f"{MODULES} says so")


def _parsed(files: Mapping[str, str], name: str, root: Path) -> Any:
    if name not in files:
        raise InvalidConfig(f"{MODULES} names this file, and it is missing", where=root / name)
    try:
        return json.loads(files[name])
    except (ValueError, RecursionError) as error:
        raise InvalidConfig(f"not valid JSON: {error}", where=root / name) from None


def _table(files: Mapping[str, str], name: str, root: Path) -> dict[str, Any]:
    found = _parsed(files, name, root)
    if not isinstance(found, dict):
        raise InvalidConfig("not a JSON object", where=root / name)
    return found


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
