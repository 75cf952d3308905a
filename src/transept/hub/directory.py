"""A model directory: everything that a model is, in files that other tools read.

    config.json             Hugging Face's, of a family of theirs where it can say the model, else of type "transept"
    model.safetensors       the weights, under the names that config.json's type has; never a pickle
    transept.json           the exact description
    generation_config.json  the search that it is meant to be used with, where it writes text
    tokenizer.json, tokenizer_config.json   where it reads text; of others, the files that they have
    preprocessor_config.json                where it takes pictures or sound
    README.md               the model card

A directory of Hugging Face's without transept.json is read through its family's table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from transept.data.foreign import Unread, read_tokenizer
from transept.data.said import FILES
from transept.data.tokenizer import Tokenizer
from transept.decode.config import Search
from transept.decode.hypothesis import Special
from transept.durable import new_folder
from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.families.configuration import GENERATION
from transept.hub import processor as processors
from transept.hub import tensors, weights
from transept.hub.beside import ids_of, with_beside
from transept.hub.card import CURVE, Card, Record, fitted, write_card
from transept.hub.described import CONFIG, OWN_TYPE, SPEC, at, described, saying
from transept.hub.fetch import fetch, is_name, meant
from transept.hub.files import member, present, read_json, write_json
from transept.hub.generation import Generation, from_hf
from transept.hub.kinds import classes, read_labels, rows_of, scored, writes_text
from transept.hub.processor import Processor, read_processor
from transept.hub.sentences import FILES as SENTENCES
from transept.hub.sentences import read_sentences, write_sentences
from transept.models import Seq2Seq
from transept.names import Mismatch, Names
from transept.spec import to_json
from transept.topology import Built, Topology, outline

SEARCH = "generation_config.json"
# What lies in a model directory, ours or another's: these are replaced with it, and nothing else is.
MODEL: tuple[str, ...] = (CONFIG, SPEC, "adapters", SEARCH, processors.PREPARED, "README.md", CURVE, *FILES, *SENTENCES)
MODEL += ("[0-9]_*", ".gitattributes", "model*.safetensors", "model.safetensors.index.json")
MODEL += ("pytorch_model*.bin", "pytorch_model.bin.index.json")
LARGEST_WORDS = 2**28  # bytes; the largest vocabularies that are published take a tenth
IDS = "bos_token_id eos_token_id pad_token_id decoder_start_token_id"
LONGEST = 1024  # tokens on a side, where neither the model nor anybody else says


@dataclass(frozen=True)
class Stored:
    """What a model directory holds; None is what it has not.

    `labels` are the names of the classes that the head scores. `unread` is why the files of a tokenizer were left
    unread, where they are of a kind that is not known here; `note` where its weights said otherwise than config.json,
    or that said too little.
    `beside` is all that config.json says, `sentences` the files that tell sentence-transformers how a text is embedded.
    """

    model: Built
    tokenizer: Tokenizer | None = None
    generation: Generation | None = None
    labels: tuple[str, ...] = ()
    processor: Processor | None = None
    unread: str = ""
    beside: Mapping[str, Any] = field(default_factory=dict)
    sentences: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def told(self) -> list[str]:
        """What a person should hear who reads this directory, a sentence each."""
        unread = f"the model has no tokenizer here: {self.unread}" if self.unread else ""
        return [sentence for sentence in (self.note, unread) if sentence]


# ------------------------------------------------------------------ reading


def locate(directory: str | Path, *, weights: bool = True, allow_pickle: bool = False) -> Path:
    """The model directory that a path means: itself, the `model/` of a run directory, or a model of the hub by name.

    A directory that is here is taken before a name. What is written as a path is none: "./name", or a `Path`. `weights`
    and `allow_pickle` are `fetch`'s.
    """
    root = Path(directory).expanduser()
    if isinstance(directory, str) and not root.exists() and is_name(directory):
        root = fetch(directory, weights=weights, allow_pickle=allow_pickle)
    if not root.is_dir():
        raise InvalidData(
            f"this is a file, and no directory: {root}"
            if root.exists()
            else f"there is no such directory: {root}.{meant(root)}",
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
    if (root / "adapter_config.json").exists():
        raise InvalidData(
            "these are adapters, and no model",
            where=root,
            remedy=f"Merge them into the model that they are of: `transept convert MODEL OUT --adapters {root}`.",
        )
    raise InvalidData(f"neither a model nor a run: {CONFIG} is missing", where=root, remedy=present(root))


def read_spec(directory: str | Path) -> Topology:
    """The description of a model, without its weights. A run directory is taken where a model is."""
    root = locate(directory, weights=False)
    return described(root, read_json(member(root, CONFIG)), partial(weights.look, root)).spec


def read(directory: str | Path, *, allow_pickle: bool = False) -> Stored:
    """The model (in evaluation mode, of the type it is stored in), and what else its directory holds.

    `allow_pickle` reads weights that are a pickle, with nothing in it but tensors. Raises InvalidData or InvalidConfig
    with the file, the tensor or key, and the nearest name; nothing is guessed.
    """
    root = locate(directory, allow_pickle=allow_pickle)
    config = read_json(member(root, CONFIG))
    found = described(root, config, partial(weights.look, root, allow_pickle=allow_pickle))
    dtype = config.get("dtype") or config.get("torch_dtype")
    try:
        model, _ = weights.load(root, found.spec, found.names, dtype, allow_pickle)
    except Mismatch as error:
        if not found.assumed:
            raise
        remedy = f"Name the right one in {CONFIG}: {', '.join(found.choices)}."
        raise InvalidData(**error.fields(what=f"{error.what}; {found.assumed}", remedy=remedy)) from None
    return replace(read_beside(root, config, model), note=found.note)


def read_blank(directory: str | Path) -> Stored:
    """What a directory holds, its model without data, on the meta device: for looking at it."""
    root = locate(directory, weights=False)
    config = read_json(member(root, CONFIG))
    found = described(root, config, partial(weights.look, root))
    blank = at(root / CONFIG, outline, found.spec)
    return replace(read_beside(root, config, blank), note=found.note)


def read_beside(root: Path, config: dict[str, Any], model: Built) -> Stored:
    """What a directory holds beside the weights, for the model of its description (which may be without data)."""
    spec, tokenizer, unread = model.spec, None, ""
    for name in FILES:
        there = (root / name).is_symlink() or (root / name).exists()
        if there and (size := member(root, name).stat().st_size) > LARGEST_WORDS:
            raise InvalidData(f"{size} bytes are too many for a vocabulary", where=root / name)
    try:
        tokenizer = read_tokenizer(root, rows_of(spec), config.get("model_type"))
    except Unread as error:
        unread = error.what
    generation = _generation(root, config, spec)
    if generation is not None:
        generation = _speakable(generation, tokenizer, scored(spec))
    labels = at(root / CONFIG, read_labels, config, classes(spec))
    return Stored(model, tokenizer, generation, labels, read_processor(root), unread, config, read_sentences(root))


def _generation(root: Path, config: dict[str, Any], spec: Topology) -> Generation | None:
    """Their search: from its file, or from config.json, where older versions had it.

    Where the file is there, Hugging Face takes nothing else from config.json; the ids of tokens that the file does not
    name stand there all the same.
    """
    if not writes_text(spec):
        return None
    file = root / SEARCH
    newer = read_json(member(root, SEARCH)) if file.is_symlink() or file.exists() else {}
    asked = {key: config[key] for key in (IDS if newer else GENERATION).split() if key in config} | newer
    alone = not isinstance(spec, Seq2Seq)
    if alone and asked.get("bos_token_id") is None and asked.get("decoder_start_token_id") is None:
        ends = asked.get("eos_token_id")
        asked["bos_token_id"] = ends[0] if isinstance(ends, list) and ends else ends  # what an empty prompt is
    longest = config.get("max_position_embeddings")
    limits = [limit for limit in (longest, spec.limit()) if isinstance(limit, int)]
    found = at(file if newer else root / CONFIG, from_hf, asked, min(limits, default=LONGEST), alone)
    vocab = scored(spec)
    for token in found.tokens():
        if token >= vocab:
            raise InvalidConfig(f"token {token} is beyond the vocabulary of {vocab}", where=root / SEARCH)
    return found


# ------------------------------------------------------------------ writing


def save(
    directory: str | Path,
    model: nn.Module,
    *,
    tokenizer: Tokenizer | None = None,
    generation: Generation | Search | None = None,
    labels: Sequence[str] = (),
    processor: Processor | None = None,
    beside: Mapping[str, Any] | None = None,
    sentences: Mapping[str, str] | None = None,
    card: Record | Card | str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model directory, whole or not at all. What stands there is replaced only with `overwrite`.

    `model` is a built model; `generation` a search, or a search with its tokens (else the tokenizer's), for a model
    that writes text; `labels` the names of its classes; `beside` and `sentences` as in `Stored`, else what the
    tokenizer says, and nothing. `card` is the record that README.md is written from, or README.md itself.
    """
    assert isinstance(model, Built), "a model that a description built"
    root = Path(directory).expanduser()
    check_free(root, overwrite)
    made = None
    if generation is not None and not writes_text(model.spec):
        raise UsageError("a search was given for a model that writes no text", remedy="Leave generation out.")
    if writes_text(model.spec):
        made = _settled(model.spec, tokenizer, generation)
        made = replace(_speakable(made, tokenizer, scored(model.spec)), alone=not isinstance(model.spec, Seq2Seq))
    check_vocabulary(model, tokenizer, made)
    family, state = saying(model.spec, (beside or {}).get("model_type")), dict(model.state_dict())
    if family is None:
        config: dict[str, Any] = {"model_type": OWN_TYPE, "architectures": [type(model.spec).__name__]}
    else:
        table: Names = family.names(model.spec)
        config, state = family.to_hf(model.spec), table.stored(table.to_theirs(state))
    config = config | ids_of(model.spec, tokenizer, made) if beside is None else with_beside(config, beside, family)
    if family is None or (model.spec.limit() is None and "max_position_embeddings" in config):
        told = None if isinstance(generation, Generation) else (beside or {}).get("max_position_embeddings")
        longest = told if told is not None or made is None else made.longest
        config |= {} if longest is None else {"max_position_embeddings": longest}
    if labels and len(labels) != (count := classes(model.spec)):
        raise InvalidConfig(f"{len(labels)} names for the {count} classes of the model")
    if labels and tuple(labels) != read_labels(config, len(labels)):
        config["id2label"] = {str(i): name for i, name in enumerate(labels)}
        config["label2id"] = {name: i for i, name in enumerate(labels)}
    config["dtype"] = weights.spoken(next(iter(state.values())).dtype)
    theirs = config["architectures"][0] if family else None
    written = _card(card or Record(root.name), model, theirs, tokenizer, made)
    with new_folder(root) as folder:
        write_json(folder / CONFIG, config)
        (folder / SPEC).write_text(to_json(model.spec), encoding="utf-8")
        (folder / "README.md").write_text(written.text, encoding="utf-8")
        for name, picture in written.pictures.items():
            (folder / name).write_bytes(picture)
        if made is not None:
            write_json(folder / SEARCH, made.to_hf())
        if tokenizer is not None:
            tokenizer.save(folder, made.longest if made else model.spec.limit())
        if processor is not None:
            write_json(folder / processors.PREPARED, processors.to_hf(processor))
        write_sentences(folder, sentences or {})
        tensors.write(folder / weights.WEIGHTS, state)
    return root


def _card(
    card: Record | Card | str,
    model: Built,
    theirs: str | None,
    tokenizer: Tokenizer | None,
    generation: Generation | None,
) -> Card:
    if isinstance(card, str):
        return Card(card)
    unsaid = generation.unsaid() if generation else ()
    if isinstance(card, Card):
        return fitted(card, model.spec, theirs, tokenizer, unsaid)
    count = sum(parameter.numel() for parameter in model.parameters())
    return write_card(card, model.spec, count, theirs, tokenizer, unsaid)


def check_free(root: Path, overwrite: bool) -> None:
    """Refuse to write over anything unasked, and over what is no model at all."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return
    if root.is_dir() and ((root / CONFIG).exists() or (root / SPEC).exists()):
        if not overwrite:
            raise UsageError(
                "a model is in this directory already",
                where=root,
                remedy="Take another directory, or replace it by {option}.",
                option="overwrite=True",
            )
        if strangers := sorted(entry.name for entry in root.iterdir() if not _of_a_model(entry)):
            more = f" (and {len(strangers) - 1} more)" if len(strangers) > 1 else ""
            raise UsageError(
                f"beside the model lies {strangers[0]}{more}, which would be lost",
                where=root,
                remedy="Move it away, or take another directory: a model is replaced as a whole.",
            )
        return
    raise UsageError(
        "this holds files that are no model, which are never replaced",
        where=root,
        remedy="Name a directory that is not there yet.",
    )


def _of_a_model(entry: Path) -> bool:
    """Whether an entry of a model directory is one that a model has, and goes with it."""
    return any(fnmatchcase(entry.name, name) for name in MODEL)


def _settled(spec: Topology, tokenizer: Tokenizer | None, asked: Generation | Search | None) -> Generation:
    """The search with its tokens: what was asked, else the tokenizer's, else our own numbers."""
    if isinstance(asked, Generation):
        return asked
    found = Generation(asked or Search(), longest=spec.limit() or LONGEST)
    if tokenizer is None:
        return found
    eos = tokenizer.demand("eos") if isinstance(spec, Seq2Seq) else tokenizer.eos
    bos = eos if tokenizer.bos is None else tokenizer.bos
    never = (token for token in (tokenizer.pad, bos, tokenizer.unk) if token is not None and token != eos)
    special = Special(bos, eos, tuple(dict.fromkeys(never)))
    return replace(found, special=special, pad=tokenizer.pad)


def _speakable(generation: Generation, tokenizer: Tokenizer | None, vocab: int) -> Generation:
    """The search without what has a row in the model and no token: it could not be said."""
    if tokenizer is None or tokenizer.vocab >= vocab:
        return generation
    special = generation.special
    suppress = dict.fromkeys((*special.suppress, *range(tokenizer.vocab, vocab)))
    return replace(generation, special=replace(special, suppress=tuple(suppress)))


def check_vocabulary(model: Built, tokenizer: Tokenizer | None, generation: Generation | None) -> None:
    """Refuse to write what `read` would refuse."""
    rows = rows_of(model.spec)
    if tokenizer is not None and rows is not None and tokenizer.vocab > rows:
        raise InvalidConfig(f"the tokenizer has {tokenizer.vocab} tokens, the model {rows}")
    if generation is not None and (highest := max(generation.tokens(), default=0)) >= (vocab := scored(model.spec)):
        raise InvalidConfig(f"the search has token {highest}, the model {vocab} tokens")
