"""The page's own files, and the page as one file that needs no server.

The modules are plain JavaScript that a browser reads as they are. In one file they stand in an import map, each as an
address that holds its own text; nothing is built or minified.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from transept.errors import UsageError
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

    Layers go in while there is room: all of the first scene, then all of the next.
    """
    told, left, used = stage.told(), [], 0
    told["path"] = told["model"]  # where it lies on this machine is nobody's business
    for scene in told["scenes"]:
        if scene["branches"]:
            try:
                scene["beam"] = stage.beam(scene["id"])
            except UsageError as error:
                left.append(f"the beam of scene {scene['id']}: {error.what}")
        if scene["sound"]:
            wav = stage.sound(scene["id"])
            used += len(wav)
            scene["wav"] = base64.b64encode(wav).decode("ascii")
        for number, layer in enumerate(scene["layers"]):
            if layer["small"]:
                small = stage.small(scene["id"], number)
                used += len(small)
                layer["pooled"] = base64.b64encode(small).decode("ascii")
            packed = stage.packed(scene["id"], number, exact=True)
            if used + len(packed) > ROOM:
                left.append(f"{layer['name']} of scene {scene['id']}")
                layer["left out"] = True
                continue
            used += len(packed)
            layer["packed"] = base64.b64encode(packed).decode("ascii")
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
    return html.replace("<head>", f'<head>\n<meta http-equiv="Content-Security-Policy" content="{ALONE}">', 1), left


def _address(module: str) -> str:
    return "data:text/javascript;base64," + base64.b64encode(module.encode()).decode("ascii")


def _inert(value: object) -> str:
    """JSON that cannot end the element that it stands in."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
