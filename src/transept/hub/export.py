"""From Hugging Face and back, each with the check that both compute the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from transept.durable import new_folder
from transept.hub.card import Card, Record, read_card, renamed
from transept.hub.described import saying, unsayable
from transept.hub.directory import Stored, check_free, locate, read, save
from transept.hub.verify import Report, verify


def import_hf(
    source: str | Path,
    out: str | Path,
    *,
    check: bool = True,
    overwrite: bool = False,
    allow_pickle: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> Report | None:
    """Read a directory of Hugging Face's (or a name at their hub) and write it as a model directory.

    With `check`, the result is compared with Hugging Face's reading of the source; TranseptError where they differ,
    and then nothing is written. `allow_pickle` takes the tensors out of weights that are a pickle. `say`
    hears what was left unread, and where the weights say otherwise than config.json.
    """
    check_free(Path(out).expanduser(), overwrite)
    root = locate(source, allow_pickle=allow_pickle)
    with new_folder(Path(out).expanduser()) as made:
        stored = read(root, allow_pickle=allow_pickle)
        _write_again(root, stored, source, out, made)
        for sentence in stored.told():
            say(sentence)
        return _demand(verify(made, root), out) if check else None


def export_hf(model: str | Path, out: str | Path, *, check: bool = True, overwrite: bool = False) -> Report | None:
    """Write a model as a directory that Hugging Face loads; with `check`, compare the two first.

    A failed comparison writes and replaces nothing. Raises UsageError with the reason and the word that would change it
    where they have no shape for the model.
    """
    check_free(Path(out).expanduser(), overwrite)
    root = locate(model)
    stored = read(root)
    if saying(stored.model.spec, stored.beside.get("model_type")) is None:
        raise unsayable(stored.model.spec, root)
    with new_folder(Path(out).expanduser()) as made:
        _write_again(root, stored, model, out, made)
        return _demand(verify(made), out) if check else None


def _write_again(root: Path, stored: Stored, source: str | Path, out: str | Path, made: Path) -> None:
    """Write into `made`, which takes the place of `out` once it was compared: a failure leaves what stood there."""
    card: Card | Record | None = read_card(root)
    if isinstance(card, Card):
        card = renamed(card, Path(source).name if root.name == "model" else root.name, Path(out).name)
    save_stored(made, stored, card or Record(Path(out).name))


def save_stored(directory: Path, stored: Stored, card: Card | Record | None, *, overwrite: bool = False) -> Path:
    """Write what was read, all of it."""
    return save(
        directory,
        stored.model,
        tokenizer=stored.tokenizer,
        generation=stored.generation,
        labels=stored.labels,
        processor=stored.processor,
        beside=stored.beside,
        sentences=stored.sentences,
        card=card,
        overwrite=overwrite,
    )


def _demand(report: Report, out: str | Path) -> Report:
    return replace(report, directory=Path(out)).demand()
