"""What the page asks for, whoever brings it: the scenes of one model, made when they are wanted."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transept.errors import UsageError
from transept.look.asking import cut_of, why_of
from transept.look.beam import beam, shown
from transept.look.reading import Read, read
from transept.look.scene import Scene, Seen, scene_of
from transept.use.kinds import described
from transept.use.loaded import Loaded

READS = {"pictures": {"see", "caption"}, "sound": {"hear", "transcribe"}}
KEPT = 24  # scenes that are held at a time; the oldest goes first


class Stage:
    """The scenes of a loaded model by their number. A model passes one input at a time: calls wait for each other."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self._scenes: dict[int, tuple[Read, Scene]] = {}
        self._made, self._lock = 0, threading.Lock()

    def told(self) -> dict[str, Any]:
        """The model, and the scenes that there are."""
        verbs = self.loaded.verbs
        path = self.loaded.path.resolve()
        return {
            "model": path.parent.name if path.name == "model" else path.name,
            "path": str(path),
            "is": described(self.loaded.spec),
            "verbs": verbs,
            "reads": next((kind for kind, known in READS.items() if known & set(verbs)), "text"),
            "scenes": [self.scene(number) for number in self._scenes],
        }

    def open(self, given: str, target: Sequence[int] | None = None, most: int | None = None) -> int:
        """The number of a new scene. Errors as `read` has them."""
        with self._lock:
            wanted = read(self.loaded, given, target, most)
            self._made += 1
            self._scenes[self._made] = wanted, scene_of(wanted)
            for old in list(self._scenes)[:-KEPT]:
                del self._scenes[old]
            return self._made

    def scene(self, number: int) -> dict[str, Any]:
        """A scene for the page, without the weights."""
        wanted, scene = self._found(number)
        asked = [choice.at for choice in wanted.asked]
        return {
            "id": number,
            "target": wanted.target,
            "begun": len(wanted.begun),
            "most": wanted.most,
            "asked": asked,
            "indices": [choice.index for choice in wanted.asked],
            "branches": wanted.writes and wanted.most != 0,
        } | scene.told()

    def packed(self, number: int, layer: int, exact: bool = False) -> bytes:
        """The weights of a layer, (H, S, T), as `Seen.packed` has them."""
        return self._layer(number, layer).packed(exact)

    def map(self, number: int, layer: int, head: int | None) -> bytes:
        """The map of one head, or the mean of all, (S, T), float32."""
        asked = self._layer(number, layer)
        if head is not None and not 0 <= head < asked.shape[0]:
            raise UsageError(f"{asked.name} has {asked.shape[0]} heads, and no number {head}")
        return asked.one(head).astype("<f4").tobytes()

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

    def why(self, number: int, output: int, method: str) -> dict[str, Any]:
        """How much each token that was read counts for an output: see `asking.why_of`."""
        with self._lock:
            return why_of(self._found(number)[0], output, method)

    def weights(self, number: int, layer: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The weights of a layer, (H, S, T), float32."""
        return self._layer(number, layer).weights

    def _layer(self, number: int, layer: int) -> Seen:
        layers = self._found(number)[1].layers
        if not 0 <= layer < len(layers):
            raise UsageError(f"the scene has {len(layers)} attentions, and no number {layer}")
        return layers[layer]

    def _found(self, number: int) -> tuple[Read, Scene]:
        if number not in self._scenes:
            raise UsageError(f"there is no scene {number}; the last {KEPT} are kept", remedy="Ask for its text again.")
        return self._scenes[number]
