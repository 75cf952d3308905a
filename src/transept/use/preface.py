"""What comes before every text, and the search for a task: what config.json says in task_specific_params, as T5's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transept.decode.config import Search
from transept.errors import UsageError
from transept.families.configuration import Keys
from transept.hub.generation import Generation, from_hf

SUMMARY, TRANSLATION = "summarization", "translation"  # Hugging Face's words; a translation's goes on, "_en_to_de"
LIMITS = {"max_length", "max_new_tokens"}


@dataclass(frozen=True)
class Preface:
    """`prefix` comes before every text, and `search` is for its task; `source` is whose name in config.json it is.

    Where config.json has several and none was chosen, a text must begin with one of `choices` itself.
    """

    prefix: str
    search: Search
    source: str = ""
    choices: tuple[str, ...] = ()

    def before(self, text: str) -> str:
        """A text with what comes before it. A blank one stays blank, and what config.json says is not said twice."""
        if not text.strip() or (self.source and text.startswith(self.prefix)):
            return text if text.strip() else ""
        if self.choices and not text.startswith(self.choices):
            raise UsageError(
                f"config.json has {len(self.choices)} tasks, and none was chosen (the text begins {text[:40]!r})",
                remedy="Choose by {option}, '' for none: " + ", ".join(map(repr, self.choices)) + ".",
                option="prefix=...",
            )
        return self.prefix + text

    def told(self) -> str:
        """What a person should hear who chose nothing, or nothing."""
        if not self.source or not self.prefix:
            return ""
        return f"{self.prefix!r} stands before every text ({self.source} in config.json); --prefix changes it"


def preface(config: Mapping[str, Any], generation: Generation, task: str, prefix: str | None = None) -> Preface:
    """What comes before the texts of a task. `prefix` None is what config.json says, "" nothing.

    The search of a task goes with its prefix. Every setting is honoured, or refused by InvalidConfig.
    """
    tables = Keys(config, "a model").table("task_specific_params") if config.get("task_specific_params") else {}
    names = [name for name in tables if name == task or (task == TRANSLATION and name.startswith(f"{task}_"))]
    known = [_read(tables, name, generation) for name in names if tables[name]]
    if prefix is not None:
        same = next((one for one in known if one.prefix.strip() == prefix.strip()), None)
        return Preface(prefix if same is None else same.prefix, (same or Preface("", generation.search)).search)
    if len(known) > 1:
        return Preface("", generation.search, choices=tuple(one.prefix for one in known))
    return known[0] if known else Preface("", generation.search)


def _read(tables: Mapping[str, Any], name: str, generation: Generation) -> Preface:
    own = dict(Keys(tables, "tasks").table(name))
    prefix = str(own.pop("prefix", None) or "")
    if not own:
        return Preface(prefix, generation.search, name)
    base = generation.to_hf()
    if LIMITS & set(own):
        base["transept"] = {key: value for key, value in base["transept"].items() if not key.startswith("max_")}
    return Preface(prefix, from_hf(base | own, generation.longest).search, name)
