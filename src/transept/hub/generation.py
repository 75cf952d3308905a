"""The search that a model directory asks for, as Hugging Face's `generation_config.json` and as ours.

One file holds both: the keys that `generate` reads, and under "transept" what it has no word for (Wu's penalty, lengths
by the source, the seed). So one edit changes the search in both libraries.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from transept.decode.config import Search
from transept.decode.hypothesis import Special
from transept.errors import InvalidConfig
from transept.families.configuration import Keys

STOPS = {"first": True, "bound": False, "exact": "never"}  # ours: Hugging Face's early_stopping
RULES: dict[str, tuple[str, float]] = {  # ours: their word, and where it is off
    "min_length": ("min_length", 0),
    "no_repeat_ngram": ("no_repeat_ngram_size", 0),
    "repetition_penalty": ("repetition_penalty", 1.0),
}
WHOLE = ("min_whole", "max_whole")  # lengths that they count so for a decoder alone
LENGTHS = ("max_ratio", "max_extra")  # settings that they have a word for only where the source does not count
OWN = ("penalty", *LENGTHS, "seed", "batch_tokens")  # settings without a word there

# What their file may say that does not change which tokens come out of one call.
ASIDE = """
    transformers_version _from_model_config use_cache cache_implementation cache_config max_cache_len output_attentions
    output_hidden_states output_scores output_logits return_dict_in_generate return_dict bos_token_id
    remove_invalid_values disable_compile compile_config is_assistant num_assistant_tokens low_memory
    num_assistant_tokens_schedule assistant_confidence_threshold assistant_lookbehind target_lookbehind
    renormalize_logits sep_token_id
"""
# What would change them, and the one value at which it does not.
OFF: dict[str, tuple[Any, ...]] = {
    "encoder_repetition_penalty": (1.0, 1),
    "encoder_no_repeat_ngram_size": (0,),
    "typical_p": (1.0, 1),
    "epsilon_cutoff": (0.0, 0),
    "eta_cutoff": (0.0, 0),
    "num_beam_groups": (1,),
    "diversity_penalty": (0.0, 0),
    "guidance_scale": (1.0, 1),
    "token_healing": (False,),
    "begin_suppress_tokens": ([],),
}


@dataclass(frozen=True)
class Generation:
    """How a model is asked for text: the search, the tokens it must know, and `longest`, the most tokens on a side.

    `alone` is true of a decoder without an encoder: their lengths count its prompt.
    """

    search: Search = field(default_factory=Search)
    special: Special = field(default_factory=lambda: Special(bos=1, eos=2, suppress=(0, 1)))
    pad: int | None = 0
    longest: int = 1024
    alone: bool = False

    def tokens(self) -> tuple[int, ...]:
        """All special tokens, which a vocabulary must have."""
        return (*self.special.tokens(), *(() if self.pad is None else (self.pad,)))

    def to_hf(self) -> dict[str, Any]:
        """The content of generation_config.json."""
        search, special = self.search, self.special
        config: dict[str, Any] = {
            "num_beams": search.beam if search.method == "beam" else 1,
            "do_sample": search.method == "sample",
            **self._lengths(),
            "pad_token_id": self.pad,
            "eos_token_id": list(special.ends) if special.also else special.eos,
            # A decoder alone begins with a prompt; an empty one is this token.
            "bos_token_id" if self.alone else "decoder_start_token_id": special.bos,
        }
        own = {name: getattr(search, name) for name in OWN}
        if not self.alone or (search.min_length and search.min_whole):
            own |= {name: value for name in WHOLE if (value := getattr(search, name))}
        if special.suppress:
            config["suppress_tokens"] = list(special.suppress)
        if special.first is not None:
            config["forced_bos_token_id"] = special.first
        if special.last is not None:
            config["forced_eos_token_id"] = special.last
        for name, (there, off) in RULES.items():
            if (name != "min_length" or not self.alone) and (value := getattr(search, name)) != off:
                config[there] = value
        if search.n_best > 1:
            config["num_return_sequences"] = search.n_best
        if search.method == "beam":
            config["early_stopping"] = STOPS[search.stop]
            (config if search.penalty == "average" else own)["length_penalty"] = search.length_penalty
        if search.method == "sample":
            config |= {"temperature": search.temperature, "top_k": search.top_k or 0, "top_p": search.top_p or 1.0}
        again = _lengths(Keys(config, "a search"), self.longest, self.alone)
        if all(again.get(name) == own[name] for name in LENGTHS):  # theirs says it, so that one edit changes both
            own = {name: value for name, value in own.items() if name not in LENGTHS}
        return config | {"transept": own}

    def unsaid(self) -> list[str]:
        """How `generate` searches otherwise than we do with the same directory, a clause each."""
        search, found = self.search, list[str]()
        if search.method == "beam" and search.penalty == "wu" and search.length_penalty:
            found.append(
                f"it knows no Wu penalty and divides by length^1, not by ((5 + length) / 6)^{search.length_penalty:g},"
                " so it may choose other answers"
            )
        if search.max_ratio and self.alone:
            found.append("it writes 20 tokens where nobody says how many, and Transept more")
        elif search.max_ratio:
            found.append(
                f"it lets every answer grow to {self.longest - 1} tokens, not to"
                f" {search.max_ratio:g} * source + {search.max_extra}"
            )
        return found

    def _lengths(self) -> dict[str, int]:
        """Their limits. One that grows with the source they cannot say."""
        search = self.search
        if not self.alone:  # theirs counts the token that opens the target
            return {"max_length": self.longest if search.max_ratio else min(self.longest, search.max_extra + 1)}
        found = {} if search.max_ratio else {"max_new_tokens": search.max_extra}
        found = {"max_length": search.max_whole} if search.max_whole else found
        if search.min_length > 1:
            return found | {"min_new_tokens": search.min_length - 1}
        return found | ({"min_length": search.min_whole} if search.min_whole else {})


def from_hf(config: Mapping[str, Any], longest: int, alone: bool = False) -> Generation:
    """What a generation_config.json asks for; `longest` is how many positions the model has.

    `alone` is of a decoder without an encoder, which may have no token that begins a text, and none that ends it.

    Every key is honoured, off, or refused by name: a search that is not the one asked for is a wrong answer.
    """
    keys = Keys({key: value for key, value in config.items() if value is not None}, "a search")
    own = keys.table("transept")
    sample, beams = keys.truth("do_sample", False), keys.whole("num_beams", 1)
    if sample and beams > 1:
        raise InvalidConfig(f"do_sample with {beams} num_beams draws beams, which Transept does not")
    given: dict[str, Any] = {"method": "sample" if sample else "beam" if beams > 1 else "greedy"}
    given["n_best"] = keys.whole("num_return_sequences", 1)
    length_penalty = keys.number("length_penalty", 1.0)
    stop = keys.choice("early_stopping", False, {there: here for here, there in STOPS.items()})
    temperature, top_k, top_p = (
        keys.number("temperature", 1.0),
        keys.whole("top_k", 50, least=0),
        keys.number("top_p", 1.0),
    )
    if given["method"] == "beam":
        given |= {"beam": beams, "length_penalty": length_penalty, "stop": stop}
    if sample:
        given |= {"temperature": temperature, "top_k": top_k or None, "top_p": None if top_p == 1.0 else top_p}
    given |= _lengths(keys, longest, alone)
    given["no_repeat_ngram"] = keys.whole("no_repeat_ngram_size", 0, least=0)
    given["repetition_penalty"] = keys.positive("repetition_penalty", 1.0)
    special, pad = _special(keys, alone)
    for key, off in OFF.items():
        keys.only(key, *off, why="Transept's search has no such setting")
    keys.done(ASIDE)
    try:
        search = Search(**given | own)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidConfig(f"{'.'.join(map(str, first['loc'])) or 'the search'}: {first['msg']}") from None
    return Generation(search, special, pad, longest, alone)


def _lengths(keys: Keys, longest: int, alone: bool) -> dict[str, float | int]:
    """max_length and min_length count what the decoder reads before the answer: the token that opens it, or a prompt.

    What counts new tokens alone goes before them. Their least lengths do not count the end token, and ours does: where
    the opening token is counted, it makes up for it.
    """
    whole, chosen = keys.whole("max_length", 0, least=0), keys.whole("max_new_tokens", 0, least=0)
    least, new = keys.whole("min_length", 0, least=0), keys.whole("min_new_tokens", 0, least=0)
    if "min_new_tokens" in keys.config:
        found: dict[str, float | int] = {"min_length": new + 1 if new else 0}
    else:
        found = {"min_whole" if alone else "min_length": least}
    limit = chosen or (whole if alone else max(whole - 1, 0))
    if alone and whole and not chosen:
        found["max_whole"] = whole
    return found | ({"max_ratio": 0.0, "max_extra": min(limit, longest)} if limit else {})


def _special(keys: Keys, alone: bool) -> tuple[Special, int | None]:
    ends, starts = keys.ids("eos_token_id"), keys.ids("decoder_start_token_id") or keys.ids("bos_token_id")
    if not ends and not alone:
        raise InvalidConfig("eos_token_id must be a token id, or several")
    if len(starts) > 1 or not (starts or alone):
        raise InvalidConfig(f"decoder_start_token_id must be one token id, not {starts or 'none'}")
    first, last = _forced(keys, "forced_bos_token_id"), _forced(keys, "forced_eos_token_id")
    suppress = keys.ids("suppress_tokens")
    for word in keys.listed("bad_words_ids"):
        if not isinstance(word, list) or len(word) != 1 or type(word[0]) is not int:
            raise InvalidConfig(f"bad_words_ids holds {word!r:.40}, and Transept suppresses single tokens only")
        suppress = [*suppress, word[0]]
    suppress = [token for token in dict.fromkeys(suppress) if token not in ends]
    for key, token in (("forced_bos_token_id", first), ("forced_eos_token_id", last)):
        if token in suppress:
            raise InvalidConfig(f"{key} forces token {token}, which is suppressed")
    pads = keys.ids("pad_token_id")
    bos, eos = (found[0] if found else None for found in (starts, ends))
    special = Special(bos, eos, tuple(suppress), first, tuple(ends[1:]), last)
    return special, pads[0] if pads else None


def _forced(keys: Keys, key: str) -> int | None:
    found = keys.ids(key)
    if len(found) > 1:
        raise InvalidConfig(f"{key} must be one token id, not {found}")
    return found[0] if found else None
