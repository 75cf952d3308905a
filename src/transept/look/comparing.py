"""Two scenes beside each other: the same text read by another model, and the vectors of words in two texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from transept.data.tokenizer import Tokenizer
from transept.errors import InvalidData, UsageError
from transept.inspect.record import attentions
from transept.inspect.words import Word
from transept.look.reading import Read, read
from transept.look.roles import Role, role_of
from transept.models import Seq2SeqLayer
from transept.use.kinds import described
from transept.use.loaded import Loaded
from transept.use.reading import demand_tokenizer

if TYPE_CHECKING:
    from transept.look.scene import Scene


READS = {"pictures": {"see", "caption"}, "sound": {"hear", "transcribe"}}


def name_of(path: Path) -> str:
    """What a model is called on the page: its directory, its run, or its run and the update of a checkpoint."""
    path = path.resolve()
    if path.parent.name == "checkpoints" and path.name.isdecimal():
        return f"{path.parent.parent.name}, update {int(path.name):,}"
    return path.parent.name if path.name == "model" else path.name


def names_of(one: Path, other: Path) -> tuple[str, str]:
    """What two models are called so that they can be told apart."""
    if one.resolve() == other.resolve():
        return name_of(one), f"{name_of(one)} (again)"
    names, paths = [name_of(one), name_of(other)], [holder(one), holder(other)]
    while names[0] == names[1] and paths[0] != paths[1]:
        names = [f"{path.name}/{name}" for path, name in zip(paths, names, strict=True)]
        paths = [path.parent for path in paths]
    if names[0] == names[1]:  # a run, and the model in it
        names = ["/".join(path.resolve().parts[-2:]) for path in (one, other)]
    return names[0], names[1]


def holder(path: Path) -> Path:
    """Where that which a model is called after stands."""
    path = path.resolve()
    if path.parent.name == "checkpoints" and path.name.isdecimal():
        return path.parent.parent.parent
    return path.parent.parent if path.name == "model" else path.parent


def again(known: Read, own: Loaded, other: Loaded) -> Read:
    """What another model makes of an input. It is given what the first one wrote, so that their rows are the same.

    Raises UsageError where the two do not read and write alike, InvalidData where the text is too long for the other.
    """
    unlike = UsageError(
        f"the two models do not read and write alike: {described(own.spec)}, and {described(other.spec)}",
        where=other.path,
        remedy="Compare models of one kind, and pictures of one size.",
    )
    if (reads(own), stacks(own)) != (reads(other), stacks(other)) or (known.writes and other.generation is None):
        raise unlike
    target = told_again(known, own, other) if known.writes else []
    if len(target) >= other.longest:
        raise InvalidData(
            f"{len(target)} tokens were written, and the other model takes {other.longest}",
            where=other.path,
            remedy="Let it write fewer (--most).",
        )
    found = read(other, known.title, target, 0)
    one, two = (tuple((side.name, side.grid) for side in made.sides) for made in (known, found))
    if (one, known.writes, roles(own)) != (two, found.writes, roles(other)):
        raise unlike
    return found


def roles(loaded: Loaded) -> set[Role]:
    """What the attentions of a model are."""
    model = loaded.model
    return {role_of(name, layer, model) for name, layer in attentions(model).items()}


def reads(loaded: Loaded) -> str:
    """What a model reads: "pictures", "sound" or "text"."""
    verbs = set(loaded.verbs)
    return next((kind for kind, known in READS.items() if known & verbs), "text")


def stacks(loaded: Loaded) -> int:
    """How many stacks a model has."""
    return 2 if isinstance(loaded.model, Seq2SeqLayer) else 1


def told_again(known: Read, own: Loaded, other: Loaded) -> list[int]:
    """The tokens that were written, as another vocabulary has them."""
    tokenizer, theirs = demand_tokenizer(own), demand_tokenizer(other)
    ids = list(known.target)
    if spelt(theirs, ids) == tokenizer.tokens(ids):
        return ids
    (one,) = theirs.encodings([tokenizer.decode(ids)])
    found = [token for token, of in zip(one.ids, one.texts, strict=True) if of is not None]
    end = other.demand_search().special.eos
    return [*found, end] if end is not None and ids[-1:] == [own.demand_search().special.eos] else found


def spelt(tokenizer: Tokenizer, ids: list[int]) -> list[str] | None:
    """How a vocabulary spells tokens; None where it does not have all of them."""
    try:
        return tokenizer.tokens(ids)
    except InvalidData:
        return None


def trunk_of(known: Read, role: Role) -> str:
    """The stack in which the vectors are of what looks, in an attention of this role."""
    if not isinstance(known.example.model, Seq2SeqLayer):
        return "stack"
    return "encoder" if role == "encoder" else "decoder"


def words_of_rows(known: Read, scene: Scene, layer: int, pieces: bool = False) -> list[Word]:
    """What looks in a layer: words as the page shows them, or each token by itself."""
    rows = scene.layers[layer].rows
    side = next(side for side in known.sides if side.name == rows)
    return [Word(text, 0, 0, (at,)) for at, text in enumerate(side.texts)] if pieces else side.grouped()
