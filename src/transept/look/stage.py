"""What the page asks for, whoever brings it: the scenes of one model, made when they are wanted."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from transept.errors import InvalidData, UsageError
from transept.inspect.drift import cosines, depths
from transept.inspect.words import Word
from transept.look.asking import agreed, cut_of, followed, said_of, ways, why_of
from transept.look.beam import beam, shown
from transept.look.comparing import again, name_of, names_of, reads, trunk_of, words_of_rows
from transept.look.dropped import LARGEST, Dropped
from transept.look.film import Film, Moment
from transept.look.reading import Read, read
from transept.look.scene import Scene, Seen, scene_of
from transept.use.kinds import described
from transept.use.loaded import Loaded

KEPT = 24  # scenes that are held beside those that were named; the oldest goes first
VECTORS = 4  # scenes of which the vectors, or the rollouts, of all layers are held


@dataclass(frozen=True)
class Scenes:
    """The scenes that there are by their number, and the twin of each that has one.

    It never changes: another takes its place, so that whoever reads has scenes that fit together, without waiting.
    """

    known: Mapping[int, tuple[Read, Scene]] = field(default_factory=dict)
    twins: Mapping[int, int] = field(default_factory=dict)
    named: frozenset[int] = frozenset()

    def beside(self, number: int, made: Sequence[tuple[Read, Scene]], named: bool) -> Scenes:
        """The same with one more, and perhaps its twin after it. Beyond `KEPT` the oldest that nobody named go, each
        with its twin.
        """
        numbers = range(number, number + len(made))
        known, twins = dict(self.known) | dict(zip(numbers, made, strict=True)), dict(self.twins)
        if len(made) > 1:
            twins[number] = number + 1
        kept = self.named | set(numbers) if named else self.named
        free = [at for at in known if at not in kept]
        while len(free) > KEPT:
            old = free[0]
            if old == number:  # a pair, where there is room for one
                break
            for gone in {old, twins.pop(old, old)}:
                free.remove(gone)
                del known[gone]
        return Scenes(known, twins, kept)

    def found(self, number: int) -> tuple[Read, Scene]:
        """One of them. UsageError where there is none."""
        if number not in self.known:
            raise UsageError(f"there is no scene {number}; the last {KEPT} are kept", remedy="Ask for its text again.")
        return self.known[number]

    def of(self, number: int) -> int:
        """Which model made it: 1 is the other one."""
        return int(number in self.twins.values())


class Stage:
    """The scenes of a loaded model by their number. A model passes one input at a time: calls wait for each other.

    `against` is another model, which reads each input too: its scene is the `twin` of the first one's. `film` has the
    checkpoints of the model's run.
    """

    def __init__(self, loaded: Loaded, against: Loaded | None = None, film: Film | None = None) -> None:
        self.loaded, self.against, self.film = loaded, against, film
        self._scenes = Scenes()
        self._vectors: dict[tuple[int, str], Tensor] = {}
        self._rollouts: dict[int, list[Tensor]] = {}
        self._made, self._lock, self._dropped = 0, threading.Lock(), Dropped()
        self.pace: tuple[int, int] | None = None  # passes that were made of what is asked now, and all of them

    def told(self) -> dict[str, Any]:
        """The model, and the scenes that there are."""
        scenes = self._scenes
        verbs, own = self.loaded.verbs, self.loaded.path
        name, other = (name_of(own), None) if self.against is None else names_of(own, self.against.path)
        return {
            "model": name,
            "paths": [str(own.resolve()), None if self.against is None else str(self.against.path.resolve())],
            "is": described(self.loaded.spec),
            "against": other,
            "film": None if self.film is None else self.film.updates,
            "checkpoints": None if self.film is None or self.film.folder is None else str(self.film.folder.resolve()),
            "verbs": verbs,
            "reads": reads(self.loaded),
            "largest": LARGEST,
            "scenes": [self._told(number, scenes) for number in scenes.known],
        }

    def drop(self, name: str, content: bytes) -> int:
        """The number of a new scene, of a picture or a sound that is given as the content of its file.

        `name` is what it is called, and no more. Errors as `read` has them.
        """
        if (kind := reads(self.loaded)) == "text":
            raise UsageError("this model reads text, and no files", remedy="Write the text above, and look.")
        if not content:
            raise InvalidData("the file is empty", remedy=f"Choose one of {kind}.")
        path = self._dropped.keep(name, content)
        try:
            return self.open(path)
        except BaseException:
            self._dropped.forget(path)
            raise

    def open(
        self, given: str, target: Sequence[int] | str | None = None, most: int | None = None, named: bool = False
    ) -> int:
        """The number of a new scene; one that is `named` stays as long as the stage. Errors as `read` has them."""
        with self._lock:
            wanted = read(self.loaded, given, target, most)
            other = None if self.against is None else again(wanted, self.loaded, self.against)
            made = [(one, scene_of(one)) for one in (wanted, other) if one is not None]
            number, before = self._made + 1, self._scenes
            self._made += len(made)
            self._scenes = before.beside(number, made, named)
            held = {known.title for known, _ in self._scenes.known.values()}
            for title in {known.title for known, _ in before.known.values()} - held:
                self._dropped.forget(title)
            return number

    def scene(self, number: int) -> dict[str, Any]:
        """A scene for the page, without the weights."""
        return self._told(number, self._scenes)

    def _told(self, number: int, scenes: Scenes) -> dict[str, Any]:
        wanted, scene = scenes.found(number)
        asked = [choice.at for choice in wanted.asked]
        of = scenes.of(number)
        told = scene.told()
        if scene.sound is not None:
            told["sound"] = scene.sound | {"said": tuple(self._dropped.spoken(one) for one in scene.sound["said"])}
        told["title"] = self._dropped.spoken(scene.title)
        return {
            "id": number,
            "given": wanted.title,
            "target": wanted.target,
            "begun": len(wanted.begun),
            "most": wanted.most,
            "asked": asked,
            "indices": [choice.index for choice in wanted.asked],
            "branches": wanted.writes and wanted.most != 0 and not of,
            "of": of,
            "twin": scenes.twins.get(number),
        } | told

    def packed(self, number: int, layer: int, exact: bool = False) -> bytes:
        """The weights of a layer, (H, S, T), as `Seen.packed` has them."""
        return self._layer(number, layer).packed(exact)

    def map(self, number: int, layer: int, heads: Sequence[int] | None) -> bytes:
        """The mean of the maps of some heads, or of all, (S, T), float32."""
        asked = self._layer(number, layer)
        for head in heads or ():
            if not 0 <= head < asked.shape[0]:
                raise UsageError(f"{asked.name} has {asked.shape[0]} heads, and no number {head}")
        return asked.one(heads).astype("<f4").tobytes()

    def beam(self, number: int) -> dict[str, Any]:
        """All that a beam search weighs for the input of a scene: see `beam.beam`."""
        with self._lock:
            wanted = self._found(number)[0]
            return shown(self.loaded, wanted, beam(self.loaded, wanted.title, wanted.begun, wanted.most))

    def sound(self, number: int) -> bytes:
        """The sound of a scene as the model heard it, a .wav file."""
        if (heard := self._found(number)[0].sound) is None:
            raise UsageError(f"scene {number} is no sound")
        return heard.wav()

    def small(self, number: int, layer: int) -> bytes:
        """The maps of a layer as small pictures, as `Seen.small` has them."""
        return self._layer(number, layer).small()

    def looked(self, number: int, layer: int, members: Sequence[int], backward: bool) -> bytes:
        """What one word looks at in every layer of a kind, (L, H, T), float32: the mean over its pieces.

        `backward`: how much each token looks at it, (L, H, S): the sum over its pieces. The layers are those of the
        given one's role, in their order.
        """
        scene, asked = self._found(number)[1], self._layer(number, layer)
        most = asked.shape[2 if backward else 1]
        if not members or not all(0 <= at < most for at in members):
            raise UsageError(f"{asked.name} has {most} {'columns' if backward else 'rows'}, not all of {list(members)}")
        found = [
            one.weights[:, :, members].sum(2) if backward else one.some(members).mean(1)
            for one in scene.layers
            if one.is_like(asked)
        ]
        return np.concatenate([one.ravel() for one in found]).astype("<f4").tobytes()

    def cut(self, number: int, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What changes without a link or a head: see `asking.cut_of`."""
        with self._lock:
            wanted, scene = self._found(number)
            return cut_of(wanted, scene, asked)

    def why(self, number: int, output: int, method: str, against: int | None = None) -> dict[str, Any]:
        """How much each token that was read counts for an output: see `asking.why_of`."""
        with self._lock:
            try:
                return why_of(self._found(number)[0], output, method, against, self._paced)
            finally:
                self.pace = None

    def _paced(self, made: int, of: int) -> None:
        self.pace = made, of

    def agree(self, number: int, output: int, against: int | None = None) -> dict[str, Any]:
        """How far the methods of `why` agree: see `asking.agreed`."""
        with self._lock:
            return agreed(self._found(number)[0], output, against)

    def ways(self, number: int, output: int) -> list[list[Any]]:
        """How what was read reached an output: see `asking.ways`."""
        with self._lock:
            return ways(self._found(number)[0], output)

    def lens(self, number: int, output: int) -> list[list[Any]]:
        """What each layer would have said: see `asking.said_of`."""
        scenes = self._scenes
        wanted = scenes.found(number)[0]
        other = self.against is not None and scenes.of(number)
        labels = (self.against if other and self.against is not None else self.loaded).labels
        with self._lock:
            return said_of(wanted, output, wanted.spoken if wanted.writes else labels.__getitem__)

    def drift(
        self, number: int, layer: int, members: Sequence[int], other: int, others: Sequence[int]
    ) -> dict[str, Any]:
        """The cosine at every depth of a word that looks in a layer with one that looks in the same of another scene.

        Words are numbers of tokens. See `transept.inspect.drift`; UsageError where the two are of different models.
        """
        made = []
        for one, at, tokens in ((number, layer, members), (other, layer, others)):
            rows = self._layer(one, at).shape[1]
            if not tokens or not all(0 <= token < rows for token in tokens):
                raise UsageError(f"this side has {rows} tokens, not all of {list(tokens)}")
            made.append([Word("", 0, 0, tuple(tokens))])
        return {"cosines": self._cosines(number, layer, other, made)[:, 0, 0].tolist()}

    def drifts(self, number: int, layer: int, other: int, pieces: bool) -> Tensor:
        """The same for all words of both, or for all of their tokens, (L + 1, I, J)."""
        words = [words_of_rows(*self._found(one), layer, pieces) for one in (number, other)]
        return self._cosines(number, layer, other, words)

    def _cosines(self, number: int, layer: int, other: int, words: Sequence[Sequence[Word]]) -> Tensor:
        (known, scene), (second, _) = self._found(number), self._found(other)
        if known.example.model is not second.example.model:
            raise UsageError("vectors of two models stand in no common space, and cannot be compared")
        trunk = trunk_of(known, scene.layers[layer].role)
        with self._lock:
            one, two = (self._depths(at, read, trunk) for at, read in ((number, known), (other, second)))
        return cosines(one, words[0], two, words[1])

    def _depths(self, number: int, read: Read, trunk: str) -> Tensor:
        key = number, trunk
        if key not in self._vectors:
            self._vectors[key] = depths(read.example, trunk)
            for old in list(self._vectors)[:-VECTORS]:
                del self._vectors[old]
        return self._vectors[key]

    def rollout(self, number: int, layer: int) -> bytes:
        """Attention rollout after a layer, (S, T), float32: see `asking.followed`."""
        self._layer(number, layer)
        with self._lock:
            if number not in self._rollouts:
                self._rollouts[number] = followed(*self._found(number))
                for old in list(self._rollouts)[:-VECTORS]:
                    del self._rollouts[old]
            return self._rollouts[number][layer].contiguous().numpy().astype("<f4").tobytes()

    def moment(self, number: int, update: int) -> Moment:
        """A scene at a checkpoint of the run: see `film.Film`."""
        wanted, scene = self._found(number)
        if self.film is None or self._scenes.of(number):
            raise UsageError("there is no film of this scene", remedy="Ask for one: transept look RUN TEXT --film.")
        with self._lock:
            return self.film.moment(number, wanted, scene, update)

    def frame(self, number: int, update: int, layer: int) -> bytes:
        """The weights of a layer at a checkpoint, (H, S, T), two bytes each as `Seen.packed(exact=True)` has them."""
        self._layer(number, layer)
        return self.moment(number, update).packed[layer]

    def made_of(self, number: int) -> Read:
        """What a scene was made of."""
        return self._found(number)[0]

    def weights(self, number: int, layer: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The weights of a layer, (H, S, T), float32."""
        return self._layer(number, layer).weights

    def _layer(self, number: int, layer: int) -> Seen:
        layers = self._found(number)[1].layers
        if not 0 <= layer < len(layers):
            raise UsageError(f"the scene has {len(layers)} attentions, and no number {layer}")
        return layers[layer]

    def _found(self, number: int) -> tuple[Read, Scene]:
        return self._scenes.found(number)
