"""The page, served to this machine's own browser and to nobody else.

Every address begins with a secret that is drawn anew each time. Requests must name this server as their host, and come
from its own page: a page of somebody else can neither guess the address nor read an answer.
"""

from __future__ import annotations

import json
import secrets
import sys
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import NoneType
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from transept.errors import TranseptError, UsageError
from transept.look.dropped import LARGEST as FILE
from transept.look.files import POLICY, TYPES, page
from transept.look.stage import Stage

HOST = "127.0.0.1"
LARGEST = 1 << 20  # bytes of a request


class Answer(NamedTuple):
    """How a stage answers what is asked of a scene, by its number; `explains` where that is about an output."""

    explains: bool
    give: Callable[[Stage, int, dict[str, Any]], object]


ASKED = {
    "api/cut": Answer(False, lambda stage, number, asked: stage.cut(number, asked)),
    "api/beam": Answer(False, lambda stage, number, _: stage.beam(number)),
    "api/why": Answer(
        True,
        lambda stage, number, asked: stage.why(
            number, asked["output"], asked.get("method") or "", asked.get("against")
        ),
    ),
    "api/agree": Answer(True, lambda stage, number, asked: stage.agree(number, asked["output"], asked.get("against"))),
    "api/ways": Answer(True, lambda stage, number, asked: stage.ways(number, asked["output"])),
    "api/lens": Answer(True, lambda stage, number, asked: stage.lens(number, asked["output"])),
}


class Server(ThreadingHTTPServer):
    """Serves one stage on loopback. `address` is what a browser opens."""

    daemon_threads = True

    def __init__(self, stage: Stage, port: int = 0) -> None:
        self.stage, self.secret = stage, secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            raise UsageError(
                f"port {port} cannot be opened: {error.strerror}", remedy="Take another, or leave --port out."
            ) from None
        own = self.server_address[1]
        self.hosts = {f"{name}:{own}" for name in (HOST, "localhost")}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no failure; all else is told as ever."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """With the secret: whoever has it may ask the model."""
        return f"http://{HOST}:{self.server_address[1]}/{self.secret}/"


class Handler(BaseHTTPRequestHandler):
    """GET the page's files and numbers; POST what the model should do."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "transept", ""

    def do_GET(self) -> None:
        if (path := self._path()) is None:
            return
        stage = self.server.stage
        match path.split("/"):
            case [""]:
                self._send(page("index.html"), TYPES["html"])
            case ["page", name] if (found := page(name)) is not None:
                self._send(found, TYPES[name.rpartition(".")[2]])
            case ["api", "stage"]:
                self._answer(stage.told)
            case ["api", "pace"]:
                self._answer(lambda: {"pace": stage.pace})
            case ["api", "scene", number]:
                self._answer(lambda: stage.scene(_one(number)))
            case ["api", "scene", number, "drift", layer, members, other, others]:
                self._answer(
                    lambda: stage.drift(_one(number), _one(layer), _whole(members), _one(other), _whole(others))
                )
            case ["api", "scene", number, "film", update]:
                self._answer(lambda: stage.moment(_one(number), _one(update)).told())
            case ["api", "scene", number, "film", update, layer]:
                self._answer(lambda: stage.frame(_one(number), _one(update), _one(layer)))
            case ["api", "scene", number, "weights", layer]:
                self._answer(lambda: stage.packed(_one(number), _one(layer)))
            case ["api", "scene", number, "map", layer, head]:
                self._answer(lambda: stage.map(_one(number), _one(layer), None if head == "mean" else _whole(head)))
            case ["api", "scene", number, "sound"]:
                self._answer(lambda: stage.sound(_one(number)))
            case ["api", "scene", number, "rollout", layer]:
                self._answer(lambda: stage.rollout(_one(number), _one(layer)))
            case ["api", "scene", number, "small", layer]:
                self._answer(lambda: stage.small(_one(number), _one(layer)))
            case ["api", "scene", number, "looked", layer, ("rows" | "columns") as way, members]:
                self._answer(lambda: stage.looked(_one(number), _one(layer), _whole(members), way == "columns"))
            case _:
                self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        if (path := self._path()) is None:
            return
        if path == "api/file":
            self._drop()
            return
        if (asked := self._body()) is None:
            return
        if path == "api/scene":
            self._open(asked)
        elif (answer := ASKED.get(path)) is not None:
            self._ask(answer, asked)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def _open(self, asked: dict[str, Any]) -> None:
        """A text, or a path, becomes a scene."""
        given, target, most = asked.get("given"), asked.get("target"), asked.get("most")
        if not isinstance(given, str) or not _written(target) or not isinstance(most, int | None):
            self._refuse(HTTPStatus.BAD_REQUEST, "a scene is asked by {given, target, most}")
            return
        stage = self.server.stage
        self._answer(lambda: stage.scene(stage.open(given, target, most)))

    def _ask(self, answer: Answer, asked: dict[str, Any]) -> None:
        """What is asked of a scene, and of an output of it where `answer` is about one."""
        number, output, method, against = (asked.get(name) for name in ("scene", "output", "method", "against"))
        if type(number) is not int:
            self._refuse(HTTPStatus.BAD_REQUEST, "what is asked of a scene is asked by its number")
        elif answer.explains and not (
            type(output) is int and isinstance(method, str | None) and type(against) in (int, NoneType)
        ):
            self._refuse(HTTPStatus.BAD_REQUEST, "a why is asked by {scene, output, method, against}")
        else:
            stage = self.server.stage
            self._answer(lambda: answer.give(stage, number, asked))

    # ------------------------------------------------------------------ what comes in

    def _path(self) -> str | None:
        """The address after the secret; None where the request was refused."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        try:
            parts, sender = urlsplit(self.path).path.split("/", 2), urlsplit(origin or "").netloc
        except ValueError:
            self._refuse(HTTPStatus.BAD_REQUEST, "this is no address")
            return None
        if host not in self.server.hosts or (origin is not None and sender not in self.server.hosts):
            self._refuse(HTTPStatus.FORBIDDEN, "this page is for this machine's own browser")
            return None
        if len(parts) < 3 or not secrets.compare_digest(parts[1].encode(), self.server.secret.encode()):
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
            return None
        return parts[2]

    def _content(self, kind: str, most: int, what: str) -> bytes | None:
        """What was sent, of this kind and no longer than it may be; None where the request was refused."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != kind or not _number(length) or int(length) > most:
            self._refuse(HTTPStatus.BAD_REQUEST, f"{what} of at most {most:,} bytes")
            return None
        return self.rfile.read(int(length))

    def _drop(self) -> None:
        """A file that was dropped on the page, or chosen there, becomes a scene. Its name is in a header, as text."""
        if (content := self._content(TYPES["bytes"], FILE, "what is dropped is a file")) is not None:
            name, stage = unquote(self.headers.get("X-Name", "")), self.server.stage
            self._answer(lambda: stage.scene(stage.drop(name, content)))

    def _body(self) -> dict[str, Any] | None:
        """What was asked; None where the request was refused."""
        if (content := self._content("application/json", LARGEST, "what is asked is JSON")) is None:
            return None
        try:
            asked = json.loads(content)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            self._refuse(HTTPStatus.BAD_REQUEST, "what is asked is one JSON object")
            return None
        return asked

    # ------------------------------------------------------------------ what goes out

    def _answer(self, make: Any) -> None:
        try:
            made = make()
            sent = (made, TYPES["bytes"]) if isinstance(made, bytes) else (_json(made), TYPES["json"])
        except TranseptError as error:
            self._send(
                _json({"error": error.reason(), "remedy": error.way_out("command")}),
                TYPES["json"],
                HTTPStatus.BAD_REQUEST,
            )
        except NotWhole:
            self._refuse(HTTPStatus.BAD_REQUEST, "numbers of scenes, layers, heads and rows are whole")
        except Exception as error:  # one request is answered, and the page stays
            traceback.print_exc()
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"the model could not do this: {spoken(error)}")
        else:
            self._send(*sent)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True  # what was sent along was not read
        self._send(_json({"error": why}), TYPES["json"], status)

    def _send(self, body: bytes | None, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        body = body or b""
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the address holds the secret."""


class NotWhole(ValueError):
    """A number in an address that is none."""


def _one(number: str) -> int:
    try:
        return int(number)
    except ValueError:
        raise NotWhole from None


def _number(length: str) -> bool:
    """Whether it is written as a number that is not out of all measure."""
    return length.isascii() and length.isdecimal() and len(length) < 20


def _whole(members: str) -> list[int]:
    """Numbers with commas between them."""
    return [_one(at) for at in members.split(",")]


def spoken(error: Exception) -> str:
    """What went wrong, in one line."""
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}{': ' if said else ''}{said[:200]}"


def _written(value: object) -> bool:
    return (
        value is None or isinstance(value, str) or (isinstance(value, list) and all(type(one) is int for one in value))
    )


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
