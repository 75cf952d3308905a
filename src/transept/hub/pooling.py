"""How a directory's texts are embedded: by the files of sentence-transformers, where they are there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from transept.errors import InvalidConfig, UsageError, nearest
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
NAMELESS = {"query": "", "document": ""}  # prompts that every model of theirs has
STEPS = ("Transformer", "Pooling", "Normalize")  # of modules.json, those that can be honoured


@dataclass(frozen=True)
class Embedding:
    """How texts are embedded: what is pooled, whether vectors have length 1, the most tokens, and who says so.

    `prompt` stands before every text; with `beside` its tokens, and what stands before them, are not pooled. `lower`
    has texts in small letters, whatever the tokenizer does.
    """

    pool: Kind = "mean"
    normalise: bool = False
    longest: int | None = None
    source: str = "nobody says more, so this is the default"
    lower: bool = False
    prompt: str = ""
    beside: bool = False

    def __str__(self) -> str:
        what = {"mean": "the mean of all states", "class": "the first state", "last": "the last state"}[self.pool]
        more = f", {self.prompt!r} before every text" if self.prompt else ""
        more += " (not pooled)" if self.prompt and self.beside else ""
        small = ", in small letters" if self.lower else ""
        return f"{what}, {'' if self.normalise else 'not '}normalised{more}{small} ({self.source})"


def declared(files: Mapping[str, str], root: Path, prompt: str | None = None) -> Embedding:
    """What the files of sentence-transformers say, modules.json before all; the default where there are none.

    `files` are their texts by their names in the directory `root`; `prompt` is the name of one of their prompts, None
    for the one that they take by default, "" for none. Raises InvalidConfig with the module that cannot be honoured,
    UsageError with the nearest prompt.
    """
    if MODULES not in files:
        return prepared(Embedding(), files, root, prompt)
    listed = _parsed(files, MODULES, root)
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise InvalidConfig("not a list of modules", where=root / MODULES)
    kinds = [str(module.get("type", "")).rsplit(".")[-1] for module in listed]
    for kind in kinds:
        if kind not in STEPS:
            raise InvalidConfig(f"the module {kind} is none of {', '.join(STEPS)}", where=root / MODULES)
    about = _table(files, TRANSFORMER, root) if TRANSFORMER in files else {}
    longest = about.get("max_seq_length")
    pool: Kind = "mean"
    beside = False
    if "Pooling" in kinds:
        file = f"{listed[kinds.index('Pooling')].get('path', '')}/config.json"
        pooling = _table(files, file, root)
        pool, beside = _pool(pooling, root / file), pooling.get("include_prompt") is False
    said = Embedding(
        pool,
        "Normalize" in kinds,
        longest if type(longest) is int else None,
        f"{MODULES} says so",
        beside=beside,
    )
    return prepared(said, files, root, prompt)


def prepared(said: Embedding, files: Mapping[str, str], root: Path, prompt: str | None = None) -> Embedding:
    """An embedding with what is done to a text before it is tokens."""
    lower = _table(files, TRANSFORMER, root).get("do_lower_case", False) if TRANSFORMER in files else False
    if type(lower) is not bool:
        raise InvalidConfig(f"do_lower_case must be true or false, not {lower!r:.40}", where=root / TRANSFORMER)
    config = _table(files, PROMPTS, root) if PROMPTS in files else {}
    own, default = config.get("prompts") or {}, config.get("default_prompt_name")
    if not isinstance(own, dict) or not all(isinstance(text, str | None) for text in own.values()):
        raise InvalidConfig("prompts must be a table of names and texts", where=root / PROMPTS)
    known = NAMELESS | own
    if default is not None and default not in known:
        reason = f"default_prompt_name is {default!r:.40}, and there is no such prompt"
        raise InvalidConfig(reason, where=root / PROMPTS, remedy=f"There are: {', '.join(known)}.")
    if prompt and prompt not in known:
        raise UsageError(
            f"there is no prompt {prompt!r:.40}.{nearest(prompt, known)}", remedy=f"There are: {', '.join(known)}."
        )
    name = default if prompt is None else prompt
    return replace(said, lower=lower, prompt=known[name] or "" if name else "")


def written(how: Embedding, width: int, longest: int | None) -> dict[str, str]:
    """The files by which sentence-transformers embeds texts so, by their names; `longest` is the most tokens.

    A prompt and small letters are not said by them.
    """
    modules = [
        ("Transformer", ""),
        ("Pooling", "1_Pooling"),
        *([("Normalize", "2_Normalize")] if how.normalise else []),
    ]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(modules)
    ]
    pooling = {"word_embedding_dimension": width} | {key: kind == how.pool for key, kind in OLDER.items()}
    told = {
        MODULES: listed,
        TRANSFORMER: {"max_seq_length": longest, "do_lower_case": False},
        "1_Pooling/config.json": pooling,
    }
    return {name: json.dumps(content, indent=2) + "\n" for name, content in told.items()}


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
