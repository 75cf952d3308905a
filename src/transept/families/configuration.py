"""Reading another library's configuration with every key accounted for.

A key is honoured, held to the one value that the model can have, or set aside because it says nothing of what the
model computes. What is left over is refused with the nearest known name: an option that does nothing is a lie.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

from transept.errors import InvalidConfig, nearest
from transept.spec import Part

Choice = TypeVar("Choice")

# How Hugging Face keeps house in any configuration: names, versions, labels of classifiers, what a call returns.
BOOKKEEPING = """
    architectures model_type transformers_version _name_or_path name_or_path _commit_hash _num_labels num_labels
    id2label label2id problem_type finetuning_task task_specific_params use_cache gradient_checkpointing torchscript
    return_dict output_hidden_states output_attentions dtype torch_dtype tokenizer_class attn_implementation
    _attn_implementation tf_legacy_loss use_bfloat16 prefix chunk_size_feed_forward
"""

# Settings of a search that older configurations hold beside the model; `generation_config.json` is their place.
GENERATION = """
    max_length min_length max_new_tokens do_sample early_stopping num_beams num_beam_groups diversity_penalty
    temperature top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size
    encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores return_dict_in_generate
    forced_bos_token_id forced_eos_token_id remove_invalid_values exponential_decay_length_penalty suppress_tokens
    begin_suppress_tokens bos_token_id eos_token_id pad_token_id sep_token_id decoder_start_token_id
"""

# What must divide what, in their words, where a head has no width of its own.
DIVIDING = (
    ("num_attention_heads", "hidden_size"),
    ("num_key_value_heads", "num_attention_heads"),
    ("num_conv_pos_embedding_groups", "hidden_size"),
    ("num_heads", "hidden_size"),
    ("n_head", "n_embd"),
    ("n_heads", "dim"),
    ("encoder_attention_heads", "d_model"),
    ("decoder_attention_heads", "d_model"),
)


class Keys:
    """A configuration that is read key by key; `done` refuses what was not read.

    Every reader takes the value that an absent key stands for, and raises InvalidConfig with the key and the value.
    """

    def __init__(self, config: Mapping[str, Any], kind: str) -> None:
        self.config, self.kind, self.read = config, kind, set[str]()
        self.taken: dict[str, Any] = {}

    def _take(self, key: str, default: Any) -> Any:
        self.read.add(key)
        self.taken[key] = self.config.get(key, default)
        return self.taken[key]

    def whole(self, key: str, default: int, *, least: int = 1) -> int:
        """A whole number of at least `least`, and below 2^31, which no size of a model reaches."""
        value = self._take(key, default)
        if type(value) is not int or not least <= value < 2**31:
            raise InvalidConfig(f"{key} must be a whole number from {least} on, not {value!r:.40}")
        return value

    def share(self, key: str, default: float) -> float:
        """A probability below 1."""
        value = self._take(key, default)
        if type(value) not in (int, float) or not 0 <= value < 1:
            raise InvalidConfig(f"{key} must be a probability below 1, not {value!r:.40}")
        return float(value)

    def positive(self, key: str, default: float) -> float:
        """A finite number above 0."""
        value = self._take(key, default)
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise InvalidConfig(f"{key} must be a number above 0, not {value!r:.40}")
        return float(value)

    def ids(self, key: str) -> list[int]:
        """Token ids: one, several or none."""
        value = self._take(key, None)
        found = [] if value is None else [value] if type(value) is int else value
        if not isinstance(found, list) or not all(type(token) is int and 0 <= token < 2**31 for token in found):
            raise InvalidConfig(f"{key} must be a token id or a list of them, not {value!r:.40}")
        return found

    def truth(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._take(key, default)
        if type(value) is not bool:
            raise InvalidConfig(f"{key} must be true or false, not {value!r:.40}")
        return value

    def number(self, key: str, default: float) -> float:
        """Any finite number."""
        value = self._take(key, default)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise InvalidConfig(f"{key} must be a number, not {value!r:.40}")
        return float(value)

    def listed(self, key: str) -> list[Any]:
        """A list, or nothing."""
        if not isinstance(value := self._take(key, []), list):
            raise InvalidConfig(f"{key} must be a list, not {value!r:.40}")
        return value

    def table(self, key: str) -> dict[str, Any]:
        """A table of keys, or nothing."""
        if not isinstance(value := self._take(key, {}), dict):
            raise InvalidConfig(f"{key} must be an object, not {value!r:.40}")
        return value

    def absent(self, key: str) -> bool:
        """Whether a key is left out or null, which says the same: what it would set follows something else."""
        return self._take(key, None) is None

    def labels(self) -> int:
        """How many classes there are: one for each name in id2label, else num_labels, else 2."""
        named = 2 if self.absent("id2label") else len(self.table("id2label"))
        count = named if self.absent("num_labels") else self.whole("num_labels", named)
        if count != named and not self.absent("id2label"):
            raise InvalidConfig(f"num_labels is {count}, and id2label names {named} classes")
        return count

    def choice(self, key: str, default: str | bool, choices: Mapping[Any, Choice]) -> Choice:
        """What one of these words stands for."""
        value = self._take(key, default)
        if not isinstance(value, (str, bool)) or value not in choices:
            words = [str(word) for word in choices]
            near = nearest(str(value), words)
            raise InvalidConfig(f"{key} is {value!r:.40}, and Transept knows {', '.join(words)}.{near}")
        return choices[value]

    def only(self, key: str, *values: Any, why: str) -> None:
        """A key that may be absent or hold one of these values; `why` tells what another would mean."""
        value = self._take(key, values[0])
        if not any(value == held and type(value) is type(held) for held in values):
            raise InvalidConfig(
                f"{key} is {value!r:.40}: {why}", remedy=f"Transept can read it with {values[0]!r} there."
            )

    def alias(self, key: str, meant: str, value: int) -> None:
        """Another word for a key that was read; the two must agree."""
        if (found := self._take(key, value)) != value:
            raise InvalidConfig(f"{key} is {found!r:.40} and {meant} is {value}, but they are one thing")

    def done(self, *aside: str) -> None:
        """Refuse every key that was neither read nor is among the words of these texts, and what does not divide."""
        own_width = self.taken.get("head_dim") is not None
        for part, whole in [] if own_width else DIVIDING:
            count, width = self.taken.get(part), self.taken.get(whole)
            if (part in self.config or whole in self.config) and count and width and width % count:
                raise InvalidConfig(f"{part} is {count}, and does not divide {whole}, which is {width}")
        known = {*self.read, *" ".join(aside).split()}
        if unknown := [key for key in self.config if key not in known]:
            shown = ", ".join(
                f"{key!r}{near}" if (near := nearest(key, sorted(known))) else repr(key) for key in unknown[:3]
            )
            more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
            raise InvalidConfig(
                f"unknown keys for {self.kind}: {shown}{more}",
                remedy="A key that Transept does not understand might change what the model computes.",
            )


def differences(ours: Part, theirs: Part, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two descriptions differ: the path of each field, its value in the first and in the second."""
    if type(ours) is not type(theirs):
        yield path, ours, theirs
        return
    for field in fields(cast(Any, ours)):
        yield from _difference(
            getattr(ours, field.name), getattr(theirs, field.name), f"{path}.{field.name}".lstrip(".")
        )


def _difference(ours: Any, theirs: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(ours, Part) and isinstance(theirs, Part):
        yield from differences(ours, theirs, path)
    elif isinstance(ours, tuple) and isinstance(theirs, tuple) and len(ours) == len(theirs):
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _difference(one, other, f"{path}[{i}]")
    elif ours != theirs:
        yield path, ours, theirs
