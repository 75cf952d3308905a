"""Summaries: a long text through an encoder and a decoder, with the search and the words that its model asks for."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transept.decode.config import Search
from transept.families.configuration import Keys
from transept.hub.generation import Generation, from_hf
from transept.use.text import Text
from transept.use.translate import translate

if TYPE_CHECKING:
    from transept.use.opened import Opened

TASK = "summarization"  # Hugging Face's word, in a configuration's task_specific_params
LIMITS = {"max_length", "max_new_tokens"}


def asked(config: Mapping[str, Any], generation: Generation) -> tuple[str, Search]:
    """What stands before every text, "summarize: " for T5, and the search for a summary: config.json's, if it has one.

    Every setting is honoured, or refused by InvalidConfig.
    """
    tasks = Keys(config, "a model").table("task_specific_params") if config.get("task_specific_params") else {}
    own = dict(Keys(tasks, "tasks").table(TASK)) if tasks.get(TASK) else {}
    prefix = str(own.pop("prefix", None) or "")
    if not own:
        return prefix, generation.search
    base = generation.to_hf()
    if LIMITS & set(own):
        base["transept"] = {name: value for name, value in base["transept"].items() if not name.startswith("max_")}
    return prefix, from_hf(base | own, generation.longest).search


def summarize(loaded: "Opened", texts: Sequence[str], prefix: str, settings: Search, first: int) -> list[Text]:
    """A summary of each text. See `Loaded.summarize`."""
    return translate(loaded, [prefix + text if text.strip() else "" for text in texts], None, settings, first)
