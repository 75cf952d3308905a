"""A model directory: everything that a model is, in files that other tools read.

    config.json             Hugging Face's, of a family of theirs where it can say the model, else of type "transept"
    model.safetensors       the weights, under the names that config.json's type has; never a pickle
    transept.json           the exact description
    generation_config.json  the search that it is meant to be used with
    tokenizer.json, tokenizer_config.json   where it reads text
    README.md               the model card

A directory of Hugging Face's without transept.json is read through its family's table.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from torch import nn

from transept.data.tokenizer import Tokenizer
from transept.decode.config import Search
from transept.decode.hypothesis import Special
from transept.durable import new_folder
from transept.errors import InvalidConfig, InvalidData, UsageError, nearest
from transept.families.configuration import GENERATION, differences
from transept.families.hugging_face import architecture
from transept.families.registry import all_families, family_of_hf
from transept.hub import tensors, weights
from transept.hub.card import Card, Record, write_card
from transept.hub.files import member, present, read_json, write_json
from transept.hub.generation import Generation, from_hf
from transept.models import Built, Topology
from transept.names import Names
from transept.spec import from_json, to_json

CONFIG, SPEC, SEARCH, TOKENIZER = "config.json", "transept.json", "generation_config.json", "tokenizer.json"
OWN_TYPE = "transept"
LONGEST = 1024  # tokens on a side, where neither the model nor anybody else says

Made = TypeVar("Made")


class Stored(NamedTuple):
    """What a model directory holds."""

    model: Built
    tokenizer: Tokenizer | None
    generation: Generation


# ------------------------------------------------------------------ reading


def locate(directory: str | Path) -> Path:
    """The model directory that a path means: itself, or the `model/` of a run directory."""
    root = Path(directory).expanduser()
    if not root.is_dir():
        raise InvalidData(
            f"there is no such directory: {root}",
            remedy="A model is a directory that Transept or Hugging Face wrote, or a run directory of training."
            " `transept import NAME OUT` fetches one from the Hub.",
        )
    if (root / CONFIG).exists():
        return root
    if (root / "model" / CONFIG).exists():
        return root / "model"
    if (root / "config.yaml").exists() and (root / "checkpoints").is_dir():
        raise InvalidData(
            "this run has no model yet, only checkpoints",
            where=root,
            remedy=f"Let it end (`transept train {root} --resume`), or make one of what is there:"
            f" `transept average {root}`.",
        )
    raise InvalidData(f"neither a model nor a run: {CONFIG} is missing", where=root, remedy=present(root))


def read_spec(directory: str | Path) -> Topology:
    """The description of a model, without its weights. A run directory is taken where a model is."""
    root = locate(directory)
    return _described(root, read_json(member(root, CONFIG)))[0]


def read_generation(directory: str | Path) -> Generation:
    """The search that a model directory asks for, without reading the model."""
    root = locate(directory)
    config = read_json(member(root, CONFIG))
    return _generation(root, config, _described(root, config)[0])


def read(directory: str | Path) -> Stored:
    """The model (in evaluation mode, of the type it is stored in), its tokenizer if there is one, and its search.

    Raises InvalidData or InvalidConfig with the file, the tensor or key, and the nearest name; nothing is guessed.
    """
    root = locate(directory)
    config = read_json(member(root, CONFIG))
    spec, names = _described(root, config)
    dtype = config.get("dtype") or config.get("torch_dtype")
    model, _ = weights.load(root, spec, names, dtype)
    generation = _generation(root, config, spec)
    vocab = _vocab(model)
    for token in (generation.special.bos, generation.special.eos, generation.pad, *generation.special.suppress):
        if token >= vocab:
            raise InvalidConfig(f"token {token} is beyond the vocabulary of {vocab}", where=root / SEARCH)
    tokenizer = None
    if (root / TOKENIZER).is_symlink() or (root / TOKENIZER).exists():
        member(root, TOKENIZER)
        tokenizer = Tokenizer.load(root, vocab)
    return Stored(model, tokenizer, _speakable(generation, tokenizer, vocab))


def _described(root: Path, config: dict[str, Any]) -> tuple[Topology, Names | None]:
    """The description, and the table of names that the weights are under (None: our own names)."""
    kind = config.get("model_type")
    family = family_of_hf(kind) if isinstance(kind, str) else None
    if family is None and kind != OWN_TYPE:
        known = [theirs for module in _readable() for theirs in module.HF_MODELS] + [OWN_TYPE]
        raise InvalidConfig(
            f"model_type is {kind!r}, which Transept does not read.{nearest(str(kind), known)}",
            where=root / CONFIG,
            remedy=f"It reads {', '.join(known)}.",
        )
    spec = _own_spec(root)
    if family is None:
        if spec is None:
            raise InvalidData(f"{SPEC} is missing, which describes the model", where=root, remedy=present(root))
        return spec, None
    _at(root / CONFIG, architecture, config, family.HF_MODELS)
    said: Topology = _at(root / CONFIG, family.from_hf, config)
    if spec is not None:
        again = _at(root / SPEC, lambda: family.from_hf(family.to_hf(spec)))
        for path, one, other in differences(again, said):
            raise InvalidConfig(
                f"{path} is {one} in {SPEC} and {other} in {CONFIG}: they describe different models",
                where=root,
                remedy=f"Delete {SPEC} to go by {CONFIG}, which Hugging Face reads.",
            )
    return spec or said, family.names(spec or said)


def _own_spec(root: Path) -> Topology | None:
    if not (root / SPEC).is_symlink() and not (root / SPEC).exists():
        return None
    path = member(root, SPEC)
    read_json(path)  # its size, its encoding, its numbers
    spec = _at(path, from_json, path.read_text(encoding="utf-8"))
    if not isinstance(spec, Topology):
        raise InvalidConfig(f"it describes a {type(spec).__name__}, not a whole model", where=path)
    return spec


def _generation(root: Path, config: dict[str, Any], spec: Topology) -> Generation:
    """Their search: from its file, and what is not there from config.json, where older versions had it."""
    older = {key: config[key] for key in GENERATION.split() if key in config}
    file = root / SEARCH
    newer = read_json(member(root, SEARCH)) if file.is_symlink() or file.exists() else {}
    longest = config.get("max_position_embeddings")
    limits = [limit for limit in (longest, spec.limit()) if isinstance(limit, int)]
    return _at(file if newer else root / CONFIG, from_hf, older | newer, min(limits, default=LONGEST))


def _at(file: Path, make: Callable[..., Made], *given: Any) -> Made:
    """What a reader of configurations makes, its complaints with the file that they are about."""
    try:
        return make(*given)
    except InvalidConfig as error:
        raise InvalidConfig(error.what, where=file, remedy=error.remedy) from None


def _vocab(model: Built) -> int:
    """How many tokens the model knows, which is what its head scores."""
    size: int = model.spec.head.size  # type: ignore[attr-defined]
    return size


def _readable() -> Iterator[ModuleType]:
    return (module for module in all_families().values() if hasattr(module, "HF_MODELS"))


# ------------------------------------------------------------------ writing


def save(
    directory: str | Path,
    model: nn.Module,
    *,
    tokenizer: Tokenizer | None = None,
    generation: Generation | Search | None = None,
    card: Record | Card | str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model directory, whole or not at all. What stands there is replaced only with `overwrite`.

    `model` is a built model; `generation` a search, or a search with its tokens (else the tokenizer's). `card` is the
    record that README.md is written from, or README.md itself.
    """
    assert isinstance(model, Built), "a model that a description built"
    root = Path(directory).expanduser()
    check_free(root, overwrite)
    generation = _speakable(_settled(model.spec, tokenizer, generation), tokenizer, _vocab(model))
    check_vocabulary(model, tokenizer, generation)
    state = dict(model.state_dict())
    family = saying(model.spec)
    if family is None:
        config: dict[str, Any] = {"model_type": OWN_TYPE, "architectures": [type(model.spec).__name__]}
    else:
        table: Names = family.names(model.spec)
        config, state = family.to_hf(model.spec), table.stored(table.to_theirs(state))
    config |= {
        "pad_token_id": generation.pad,
        "bos_token_id": tokenizer.bos if tokenizer else generation.special.bos,
        "eos_token_id": generation.special.eos,
        "decoder_start_token_id": generation.special.bos,
        "max_position_embeddings": generation.longest,
        "dtype": weights.spoken(next(iter(state.values())).dtype),
    }
    written = _card(card or Record(root.name), model, family, tokenizer is not None, generation)
    with new_folder(root) as folder:
        write_json(folder / CONFIG, config)
        write_json(folder / SEARCH, generation.to_hf())
        (folder / SPEC).write_text(to_json(model.spec), encoding="utf-8")
        (folder / "README.md").write_text(written.text, encoding="utf-8")
        for name, picture in written.pictures.items():
            (folder / name).write_bytes(picture)
        if tokenizer is not None:
            tokenizer.save(folder, generation.longest)
        tensors.write(folder / weights.WEIGHTS, state)
    return root


def _card(
    card: Record | Card | str, model: Built, family: ModuleType | None, reads_text: bool, generation: Generation
) -> Card:
    if not isinstance(card, Record):
        return card if isinstance(card, Card) else Card(card)
    count = sum(parameter.numel() for parameter in model.parameters())
    theirs = family.to_hf(model.spec)["architectures"][0] if family else None
    return write_card(card, model.spec, count, theirs, reads_text, generation.unsaid())


def saying(spec: Topology) -> ModuleType | None:
    """The family whose Hugging Face configuration can say a model, or None."""
    return next((module for module in _readable() if _refusal(module, spec) is None), None)


def unsayable(spec: Topology, where: Path) -> UsageError:
    """Why no configuration of Hugging Face's can say a model, with the words that would change it."""
    reasons = [error for module in _readable() if (error := _refusal(module, spec)) is not None]
    remedies = [error.remedy for error in reasons if error.remedy]
    return UsageError("; ".join(error.what for error in reasons), where=where, remedy=" ".join(remedies) or None)


def _refusal(family: ModuleType, spec: Topology) -> InvalidConfig | None:
    try:
        family.to_hf(spec)
    except InvalidConfig as error:
        return error
    return None


def check_free(root: Path, overwrite: bool) -> None:
    """Refuse to write over anything unasked, and over what is no model at all."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return
    if root.is_dir() and ((root / CONFIG).exists() or (root / SPEC).exists()):
        if not overwrite:
            raise UsageError(
                "a model is in this directory already",
                where=root,
                remedy="Take another directory, or replace it by --overwrite (overwrite=True).",
            )
        return
    raise UsageError("this holds files that are no model; they are not replaced", where=root, remedy="Take another.")


def _settled(spec: Topology, tokenizer: Tokenizer | None, asked: Generation | Search | None) -> Generation:
    """The search with its tokens: what was asked, else the tokenizer's, else our own numbers."""
    if isinstance(asked, Generation):
        return asked
    found = Generation(asked or Search(), longest=spec.limit() or LONGEST)
    if tokenizer is None:
        return found
    special = Special(tokenizer.bos, tokenizer.eos, (tokenizer.pad, tokenizer.bos, tokenizer.unk))
    return replace(found, special=special, pad=tokenizer.pad)


def _speakable(generation: Generation, tokenizer: Tokenizer | None, vocab: int) -> Generation:
    """The search without what has a row in the model and no token: it could not be said."""
    if tokenizer is None or tokenizer.vocab >= vocab:
        return generation
    special = generation.special
    suppress = dict.fromkeys((*special.suppress, *range(tokenizer.vocab, vocab)))
    return replace(generation, special=replace(special, suppress=tuple(suppress)))


def check_vocabulary(model: Built, tokenizer: Tokenizer | None, generation: Generation) -> None:
    """Refuse to write what `read` would refuse."""
    vocab = _vocab(model)
    if tokenizer is not None and tokenizer.vocab > vocab:
        raise InvalidConfig(f"the tokenizer has {tokenizer.vocab} tokens, the model {vocab}")
    highest = max(generation.special.bos, generation.special.eos, generation.pad, *generation.special.suppress)
    if highest >= vocab:
        raise InvalidConfig(f"the search has token {highest}, the model {vocab} tokens")
