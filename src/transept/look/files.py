"""The page's own files, and the page as one file that needs no server.

The modules are plain JavaScript that a browser reads as they are. In one file they stand in an import map, each as an
address that holds its own text; nothing is built or minified.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from transept.errors import TranseptError, UsageError
from transept.look.reasons import reasons
from transept.look.stage import Stage

FOLDER = Path(__file__).parent / "page"
TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
    "bytes": "application/octet-stream",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ALONE = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data: blob:; "
    "media-src data: blob:; base-uri 'none'; form-action 'none'"
)
ROOM = 10_000_000  # bytes of numbers in one file
IMPORT = re.compile(r'from "\./([a-z]+\.js)"')


def page(name: str) -> bytes | None:
    """A file of the page, or None where there is none of this name."""
    found = {path.name: path for path in FOLDER.iterdir()}.get(name)
    return None if found is None else found.read_bytes()


def alone(stage: Stage) -> tuple[str, list[str]]:
    """The page with everything it shows in one file, and what was left out where that would be too large.

    Layers go in while there is room: all of the first scene, then all of the next. Then come the
    vectors of words in two texts, and the moments of a film, spread over the run. What outputs hang on has room apart.
    """
    told, box = stage.told(), Box(ROOM)
    told["paths"] = [told["model"], told["against"]]  # where they lie on this machine is nobody's business
    told["checkpoints"] = told["checkpoints"] and "checkpoints"
    for scene in told["scenes"]:
        _unplaced(scene)
        if scene["branches"]:
            try:
                scene["beam"] = stage.beam(scene["id"])
            except UsageError as error:
                box.left.append(f"the beam of scene {scene['id']}: {error.reason()}")
        if scene["sound"]:
            scene["wav"] = box.put(stage.sound(scene["id"]))
        for number, layer in enumerate(scene["layers"]):
            if layer["small"]:
                layer["pooled"] = box.put(stage.small(scene["id"], number))
            packed = box.put(stage.packed(scene["id"], number, exact=True), f"{layer['name']} of scene {scene['id']}")
            layer |= {"left out": True} if packed is None else {"packed": packed}
        if any(side["grid"] for side in scene["sides"]):
            _rollouts(stage, scene, box)
    box.left += reasons(stage, told["scenes"])
    told["drifts"] = dict(_drifts(stage, told["scenes"], box))
    for scene in told["scenes"] if stage.film is not None else ():
        if not scene["of"]:
            scene["film"] = _film(stage, scene, box)
    modules = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.js")}
    imports = {f"look/{name}": _address(IMPORT.sub(r'from "look/\1"', text)) for name, text in modules.items()}
    html, style = ((FOLDER / name).read_text(encoding="utf-8") for name in ("index.html", "style.css"))
    html = html.replace('<link rel="stylesheet" href="page/style.css">', f"<style>\n{style}</style>")
    begin = (
        f'<script type="importmap">{_inert({"imports": imports})}</script>\n'
        f'<script type="application/json" id="told">{_inert(told)}</script>\n'
        '<script type="module">import "look/main.js";</script>'
    )
    html = html.replace('<script type="module" src="page/main.js"></script>', begin)
    return html.replace("<head>", f'<head>\n<meta http-equiv="Content-Security-Policy" content="{ALONE}">', 1), box.left


def _unplaced(scene: dict[str, Any]) -> None:
    """Of a file that was read its name alone: where it lies is nobody's business either."""
    if scene["picture"] is None and scene["sound"] is None:
        return
    path, title = scene["given"], Path(scene["title"]).name
    if scene["sound"] is not None:
        scene["sound"] = scene["sound"] | {"said": [one.replace(path, title) for one in scene["sound"]["said"]]}
    scene["given"] = scene["title"] = title


def _rollouts(stage: Stage, scene: Mapping[str, Any], box: Box) -> None:
    """What the picture shows of attention that is followed through the layers, of two bytes each as maps are."""
    for number, layer in enumerate(scene["layers"]):
        try:
            shares = np.frombuffer(stage.rollout(scene["id"], number), "<f4")
        except UsageError:  # it cannot be followed: the page says so where it is asked
            return
        numbers = np.rint(65535 * np.sqrt(shares.clip(0, 1))).astype("<u2").tobytes()
        if packed := box.put(numbers, f"the rollout of {layer['name']} of scene {scene['id']}"):
            layer["rolled"] = packed


class Box:
    """What goes into one file, while there is room for it."""

    def __init__(self, room: int) -> None:
        self.room, self.left = room, list[str]()

    def put(self, content: bytes, name: str | None = None) -> str | None:
        """The content as the file holds it; None where there is no room, which is told by its name. Without a name it
        goes in for certain.
        """
        if name is not None and len(content) > self.room:
            self.left.append(name)
            return None
        self.room -= len(content)
        return base64.b64encode(content).decode("ascii")


def _drifts(stage: Stage, scenes: Sequence[Mapping[str, Any]], box: Box) -> Iterator[tuple[str, str]]:
    """The cosines of every two texts of a model, (L + 1, I, J) of two bytes each: of words, and of all tokens."""
    for one, other in combinations(scenes, 2):
        if one["of"] != other["of"]:
            continue
        firsts = {layer["rows"]: at for at, layer in reversed(list(enumerate(one["layers"])))}
        for side, at in firsts.items():
            key = f"{one['id']}/{other['id']}/{side}"
            try:
                words, tokens = (stage.drifts(one["id"], at, other["id"], pieces) for pieces in (False, True))
            except UsageError:  # not blocks in a row: the page says so where it is asked
                continue
            for name, found in (("words", words), ("tokens", tokens)):
                numbers = np.rint(32767 * found.numpy()).astype("<i2").tobytes()
                if name == "tokens" and words.shape == tokens.shape:  # each word is a token
                    yield f"{key}/{name}", "words"
                elif packed := box.put(numbers, f"the vectors of scenes {one['id']} and {other['id']}, {side}"):
                    yield f"{key}/{name}", packed


def _film(stage: Stage, scene: Mapping[str, Any], box: Box) -> dict[int, Any]:
    """The moments of a scene by their updates: as many as there is room for, the first and the last before others."""
    assert stage.film is not None
    found, size = dict[int, Any](), 2 * sum(math.prod(layer["shape"]) for layer in scene["layers"])
    for update in spread(stage.film.updates):
        name = f"update {update:,} of scene {scene['id']}"
        if size > box.room:  # without reading its weights
            box.left.append(name)
            continue
        try:
            moment = stage.moment(scene["id"], update)
        except TranseptError as error:
            box.left.append(f"{name}: {error.reason()}")
            continue
        found[update] = moment.told() | {"packed": box.put(b"".join(moment.packed))}
    return dict(sorted(found.items()))


def spread(updates: Sequence[int]) -> list[int]:
    """Updates in such an order that whatever has come is spread over all: the ends, the middle, the quarters ..."""
    found, halves = [0, len(updates) - 1], [(0, len(updates) - 1)]
    for first, last in halves:
        if (middle := (first + last) // 2) not in (first, last):
            found.append(middle)
            halves += [(first, middle), (middle, last)]
    return [updates[at] for at in dict.fromkeys(found)]


def _address(module: str) -> str:
    return "data:text/javascript;base64," + base64.b64encode(module.encode()).decode("ascii")


def _inert(value: object) -> str:
    """JSON that cannot end the element that it stands in."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
