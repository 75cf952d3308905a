"""What the files of somebody else's tokenizer say beside its vocabulary: its kind, its special tokens, its settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from transept.data.tokenizer import ROLES
from transept.errors import InvalidData, nearest

JSON, CONFIG, NAMES, ADDED = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
PIECES = ("spiece.model", "tokenizer.model", "sentencepiece.bpe.model")
FILES = (JSON, CONFIG, NAMES, ADDED, "vocab.txt", "vocab.json", "merges.txt", *PIECES, "chat_template.jinja")

# What a vocabulary is, by Hugging Face's model_type or the beginning of its tokenizer_class.
KINDS = {
    "bert": "word pieces",
    "distilbert": "word pieces",
    "gpt2": "gpt2",
    "gptneo": "gpt2",
    "roberta": "roberta",
    "bart": "roberta",
    "openaigpt": "openai",
    "t5": "t5",
    "mt5": "t5",
    "llama": "llama",
    "wav2vec2": "letters",
    "wav2vec2ctc": "letters",
}
HIGHEST = 2**31  # ids are below it
GENERIC = ("", "PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend")  # classes of no kind
# The special tokens where no file names them.
DEFAULTS = {
    "word pieces": {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"},
    "gpt2": {"bos": "<|endoftext|>", "eos": "<|endoftext|>", "unk": "<|endoftext|>"},
    "roberta": {
        **{"pad": "<pad>", "bos": "<s>", "eos": "</s>", "unk": "<unk>"},
        **{"cls": "<s>", "sep": "</s>", "mask": "<mask>"},
    },
    "openai": {"unk": "<unk>"},
    "t5": {"pad": "<pad>", "eos": "</s>", "unk": "<unk>"},
    "llama": {"bos": "<s>", "eos": "</s>", "unk": "<unk>"},
    "letters": {"pad": "<pad>", "bos": "<s>", "eos": "</s>", "unk": "<unk>"},
}
FLAGS = ("lstrip", "rstrip", "normalized", "single_word")  # how a token is found in a text
LEFT = ("llama",)  # kinds that are padded on the left where nothing is said
# What a configuration may say that changes no id: names, versions, lengths, what a call returns.
ASIDE = """
    tokenizer_class name_or_path model_max_length max_len special_tokens_map_file tokenizer_file processor_class
    auto_map model_input_names truncation_side padding_side clean_up_tokenization_spaces backend is_local chat_template
    additional_special_tokens extra_special_tokens added_tokens_decoder add_bos_token add_eos_token errors
    trim_offsets pad_token_type_id full_tokenizer_file vocab_file merges_file use_default_system_prompt use_fast
    return_attention_mask do_normalize max_length stride truncation_strategy pad_to_multiple_of pad_token_id
    local_files_only split_special_tokens unk_id spaces_between_special_tokens init_inputs return_token_type_ids verbose
"""


def object_in(content: bytes, path: Path) -> dict[str, Any]:
    """The object of a JSON file."""
    try:
        data = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidData(f"not a tokenizer: {error}", where=path) from None
    if not isinstance(data, dict):
        raise InvalidData("not a tokenizer: not a JSON object", where=path)
    return data


class Said:
    """What the files of a tokenizer say; a key that would change ids is honoured or refused."""

    def __init__(self, directory: Path, files: Mapping[str, bytes], kind: str | None) -> None:
        self.directory, self.files = directory, files
        self.config = self.table(CONFIG)
        self.named = self.config  # what names the special tokens; a file of its own does where nothing numbers them
        if "added_tokens_decoder" not in self.config:
            self.named = self.config | self.table(NAMES)
        self.read_keys = {f"{role}_token" for role in ROLES}
        self.kind = self._kind(kind)

    def table(self, name: str) -> dict[str, Any]:
        return object_in(self.files[name], self.directory / name) if name in self.files else {}

    def _kind(self, model_type: str | None) -> str | None:
        """What its class says; where it is of no kind, or there is none, what the model's kind says, else None."""
        own = str(self.config.get("tokenizer_class") or "")
        word = (model_type or "") if own in GENERIC else own
        plain = word.removesuffix("Fast").removesuffix("Tokenizer").replace("-", "").replace("_", "").lower()
        return KINDS.get(plain)

    def refuse(self, reason: str, file: str = CONFIG, remedy: str | None = None) -> InvalidData:
        return InvalidData(reason, where=self.directory / file, remedy=remedy)

    def ids(self, file: str, table: Any) -> dict[str, int]:
        """A vocabulary: tokens and their ids."""
        remedy = "Take the tokenizer that the model was trained with."
        if not isinstance(table, dict) or not table:
            raise self.refuse("the vocabulary is no table of tokens and their ids", file, remedy)
        for token, index in table.items():
            if type(index) is not int or not 0 <= index < HIGHEST:
                wanted = (
                    f"{token!r:.40} has the id {index!r:.40}, and an id is a whole number from 0 to {HIGHEST - 1:,}"
                )
                raise self.refuse(wanted, file, remedy)
        return table

    def truth(self, key: str, default: bool | None) -> bool | None:
        """True or false, or what an absent key or null stands for."""
        self.read_keys.add(key)
        value = self.config.get(key)
        if value is not None and type(value) is not bool:
            raise self.refuse(f"{key} must be true or false, not {value!r:.40}")
        return default if value is None else value

    def word(self, key: str, default: str) -> str:
        """A text."""
        self.read_keys.add(key)
        value = self.config.get(key, default)
        if not isinstance(value, str):
            raise self.refuse(f"{key} must be a text, not {value!r:.40}")
        return value

    def only(self, key: str, *values: Any) -> None:
        """A key that may be absent or hold one of these."""
        self.read_keys.add(key)
        if key in self.config and self.config[key] not in values:
            raise self.refuse(f"{key} is {self.config[key]!r:.40}, which is not done here")

    def done(self) -> None:
        """Refuse what was not read and might change ids."""
        known = {*self.read_keys, *ASIDE.split()}
        unknown = [key for key in self.config if key not in known and not key.startswith("_")]
        if unknown:
            named = (f"{key!r}{nearest(key, self.read_keys)}" for key in unknown)
            raise self.refuse(f"unknown keys for a tokenizer: {', '.join(named)}")

    # -------------------------------------------------------------- the special tokens

    def special(self) -> dict[str, str]:
        """The text of each special token, by its role; null in a file says that there is none."""
        found: dict[str, str] = {}
        for role in ROLES:
            value = self.named.get(f"{role}_token", DEFAULTS.get(self.kind or "", {}).get(role))
            value = value.get("content") if isinstance(value, dict) else value
            if value is not None and not isinstance(value, str):
                raise self.refuse(f"{role}_token must be a text, not {value!r:.40}")
            if value is not None:
                found[role] = value
        return found

    def sign(self, role: str) -> str:
        """The text of a special token that a vocabulary cannot be without."""
        if role not in self.special():
            raise self.refuse(f"there is no {role}_token, which this vocabulary needs")
        return self.special()[role]

    def numbered(self) -> dict[int, dict[str, Any]]:
        """The tokens beside the vocabulary that the files give a number, with how they are found."""
        entries = self.config.get("added_tokens_decoder")
        if entries is None:
            signs = self.special().values()
            entries = {
                index: {"content": token, "special": token in signs, "normalized": token not in signs}
                for token, index in self.table(ADDED).items()
            }
        try:
            return {int(index): {"content": str(entry["content"])} | entry for index, entry in entries.items()}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self.refuse("the added tokens are no table of ids and tokens") from None

    def tokens(self, defaults: bool) -> list[AddedToken]:
        """The tokens that are found whole in a text: those with a number, those with a role, then all others.

        `defaults` counts roles that no file names.
        """
        numbered = self.numbered()
        more = self.named.get("extra_special_tokens") or self.named.get("additional_special_tokens") or []
        roles = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")  # their order, which numbers what is new
        entries: list[Any] = [numbered[index] for index in sorted(numbered)]
        entries += [self.named.get(f"{role}_token") for role in roles]
        entries += [self.special().get(role) for role in roles if defaults]
        entries += more.values() if isinstance(more, dict) else more
        made: dict[str, AddedToken] = {}
        for entry in entries:
            told: dict[str, Any] = {"content": entry} if isinstance(entry, str) else entry or {}
            content = told.get("content")
            if not isinstance(content, str) or content in made:
                continue
            special = content in self.special().values() or bool(told.get("special", True))
            flags = {"normalized": not special} | {flag: bool(told[flag]) for flag in FLAGS if flag in told}
            made[content] = AddedToken(content, special=special, **flags)
        return list(made.values())
