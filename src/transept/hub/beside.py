"""What config.json says beside the model: the ids of tokens, the names of classes, what others keep there."""

from collections.abc import Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any

from transept.data.tokenizer import Tokenizer
from transept.errors import InvalidConfig
from transept.families.configuration import GENERATION
from transept.hub.generation import Generation
from transept.models import Seq2Seq
from transept.topology import Topology

# What config.json says beside the model and is handed back over what a family would write there.
BESIDE = """
    bos_token_id eos_token_id pad_token_id sep_token_id cls_token_id mask_token_id decoder_start_token_id id2label
    label2id problem_type
"""
# What is never handed back: it is written anew, or stands in generation_config.json.
ANEW = f"architectures dtype torch_dtype transformers_version {GENERATION}"


def with_beside(config: dict[str, Any], beside: Mapping[str, Any], family: ModuleType | None) -> dict[str, Any]:
    """A configuration with what another one says beside the model, as far as it still describes the same one."""
    over = {key: beside[key] for key in BESIDE.split() if key in beside}
    more = {key: value for key, value in beside.items() if key not in {*config, *ANEW.split()}}
    if family is None:
        return config | over
    # Several of their types may be one family here: XLM-RoBERTa goes back as such, and not as RoBERTa.
    own = beside.get("model_type") in family.HF_MODELS
    kind = {key: beside[key] for key in ("model_type", "architectures") if own and key in beside}
    for kept in (more | over | kind, more | over):
        with suppress(InvalidConfig):
            if family.from_hf(config | kept) == family.from_hf(config):
                return config | kept
    return config | over


def ids_of(spec: Topology, tokenizer: Tokenizer | None, generation: Generation | None) -> dict[str, Any]:
    """The ids of the special tokens, as config.json has them."""
    if generation is None:
        return (
            {}
            if tokenizer is None
            else {f"{role}_token_id": getattr(tokenizer, role) for role in ("pad", "bos", "eos")}
        )
    special = generation.special
    found = {
        "pad_token_id": generation.pad,
        "bos_token_id": tokenizer.bos if tokenizer else special.bos,
        "eos_token_id": list(special.ends) if special.also else special.eos,
    }
    return found | ({"decoder_start_token_id": special.bos} if isinstance(spec, Seq2Seq) else {})
