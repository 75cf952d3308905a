"""The server answers its own page and nobody else; what it sends are the numbers."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from transept.errors import UsageError
from transept.look.server import Server
from transept.look.stage import Stage
from unit.look.browsed import Shown
from unit.look.staged import TEXT, filler, translator, writer


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server(filler())
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def asked(
    server: Server, path: str, body: object = None, secret: bool = True, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"Host": f"127.0.0.1:{port}"} | ({"Content-Type": "application/json"} if sent is not None else {})
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    address = f"/{server.secret}/{path}" if secret else path
    connection.request("GET" if sent is None else "POST", address, sent, told)
    answer = connection.getresponse()
    found = answer.status, dict(answer.headers), answer.read()
    connection.close()
    return found


def test_a_scene_and_its_numbers(server: Server) -> None:
    status, _, body = asked(server, "api/scene", {"given": TEXT})
    assert status == 200
    told = json.loads(body)
    weights = server.stage.weights(told["id"], 1)
    status, headers, body = asked(server, f"api/scene/{told['id']}/weights/1")
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
    assert body == np.rint(255 * np.sqrt(weights)).astype(np.uint8).tobytes()
    first = server.stage.weights(told["id"], 0)
    _, _, body = asked(server, f"api/scene/{told['id']}/looked/1/rows/3,4")
    wanted = np.stack([first[:, 3:5].mean(1), weights[:, 3:5].mean(1)])
    np.testing.assert_allclose(np.frombuffer(body, "<f4").reshape(wanted.shape), wanted, rtol=1e-6, atol=0)
    _, _, body = asked(server, f"api/scene/{told['id']}/looked/1/columns/3,4")
    wanted = np.stack([first[:, :, 3:5].sum(2), weights[:, :, 3:5].sum(2)])
    np.testing.assert_allclose(np.frombuffer(body, "<f4").reshape(wanted.shape), wanted, rtol=1e-6, atol=0)
    assert told["id"] in [scene["id"] for scene in json.loads(asked(server, "api/stage")[2])["scenes"]]


def test_one_map_is_exact(server: Server) -> None:
    number = server.stage.open(TEXT)
    weights = server.stage.weights(number, 1)
    for head, wanted in ((2, weights[2]), ("mean", weights.mean(0))):
        status, _, body = asked(server, f"api/scene/{number}/map/1/{head}")
        assert status == 200
        np.testing.assert_allclose(np.frombuffer(body, "<f4").reshape(wanted.shape), wanted, rtol=1e-6, atol=1e-9)
    for path in (f"api/scene/{number}/map/1/9", f"api/scene/{number}/map/1/x", f"api/scene/{number}/sound"):
        assert asked(server, path)[0] == 400
    assert asked(server, "api/beam", {"scene": number})[0] == 400  # it writes no text
    assert asked(server, "api/beam", {"scene": "1"})[0] == 400
    assert asked(server, f"api/scene/{number}/map/1/mean", secret=False)[0] == 404


def test_the_page_and_its_files_forbid_what_is_not_theirs(server: Server) -> None:
    for path, kind in (("", "text/html"), ("page/main.js", "text/javascript"), ("page/style.css", "text/css")):
        status, headers, body = asked(server, path)
        assert status == 200
        assert headers["Content-Type"].startswith(kind)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert body


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("api/stage", {"Host": "evil.example:80"}, 403),
        ("api/stage", {"Host": "127.0.0.1:1"}, 403),
        ("api/stage", {"Origin": "http://evil.example"}, 403),
        ("api/stage", {"Origin": "null"}, 403),
        ("page/../server.py", {}, 404),
        ("page/%2e%2e/server.py", {}, 404),
        ("page/nothing.js", {}, 404),
        ("api/scene/x/weights/0", {}, 400),
        ("api/scene/9999/weights/0", {}, 400),
        ("elsewhere", {}, 404),
    ],
)
def test_others_are_refused(server: Server, path: str, headers: dict[str, str], status: int) -> None:
    assert asked(server, path, **headers)[0] == status


@pytest.mark.parametrize(
    ("begin", "status"),
    [
        (b"GET http://[/x HTTP/1.1\r\n%b\r\n", 400),
        (b"GET * HTTP/1.1\r\n%b\r\n", 404),
        (b"GET http://127.0.0.1 HTTP/1.1\r\n%b\r\n", 404),
        (b"GET /%s/api/stage HTTP/1.1\r\n%b" + b"Origin: http://[\r\n\r\n", 400),
        (b"POST /%s/api/scene HTTP/1.1\r\n%b" + b"Content-Length: \xb2\r\n\r\n", 400),
        (b"POST /%s/api/scene HTTP/1.1\r\n%b" + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_has_an_answer_too(server: Server, begin: bytes, status: int) -> None:
    port = server.server_address[1]
    host = f"Host: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n".encode()
    sent = begin.replace(b"%s", server.secret.encode()).replace(b"%b", host)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        assert connection.recv(4096).startswith(f"HTTP/1.1 {status} ".encode())


def test_without_the_secret_there_is_nothing(server: Server) -> None:
    other = server.secret[:-1] + ("y" if server.secret.endswith("x") else "x")
    for path in ("/", "/api/stage", f"/{other}/api/stage", "//api/stage", f"/{server.secret}"):
        assert asked(server, path, secret=False)[0] == 404
    assert asked(server, "/api/scene", {"given": TEXT}, secret=False)[0] == 404
    another = Server(server.stage)
    another.server_close()
    assert another.secret != server.secret, "it is drawn anew each time"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"[1]", {}),
        (b"{", {}),
        (b'{"given": 3}', {}),
        (b'{"given": "a", "target": ["x"]}', {}),
        (b'{"given": "a", "most": "x"}', {}),
        (b'{"given": "a"}', {"Content_Type": "text/plain"}),
        (b"\xff\xfe", {}),
    ],
)
def test_what_makes_no_sense_is_refused(server: Server, body: bytes, headers: dict[str, str]) -> None:
    status, _, told = asked(server, "api/scene", body, **headers)
    assert status == 400
    assert json.loads(told)["error"]


def test_a_text_that_is_too_long_is_told(server: Server) -> None:
    status, _, told = asked(server, "api/scene", {"given": "cat " * 100})
    assert status == 400
    assert "102 tokens, and the model takes 48" in json.loads(told)["error"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"given": "a", "target": [1000000]}', "there is no token 1000000: the vocabulary has"),
        (b'{"given": "a", "target": [-5]}', "there is no token -5"),
        (b'{"given": "a", "target": [%d]}' % 2**70, f"there is no token {2**70}"),
        (b'{"given": "a", "target": [%s]}' % b",".join([b"5"] * 3000), "3000 tokens, and the model takes"),
        (b'{"given": ' + b"[" * 100_000, "one JSON object"),
        (b'{"given": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "one JSON object"),
    ],
)
def test_no_request_stays_without_an_answer(body: bytes, told: str) -> None:
    for stage in (writer(), translator()):
        with (shown := Shown(stage)):
            status, _, answer = asked(shown.server, "api/scene", body)
            assert status == 400
            assert told in json.loads(answer)["error"]


def test_no_more_is_written_than_the_model_takes() -> None:
    for made in (writer(), translator()):
        stage = Stage(made.loaded)
        for most, longest in ((10**9, stage.loaded.longest), (-3, 0)):
            told = stage.scene(stage.open("the cat", most=most))
            assert len(told["target"]) <= longest
            assert told["most"] <= longest
    with pytest.raises(UsageError, match="writes no text"):
        filler().open(TEXT, [5])


def test_a_failure_is_told_in_one_sentence(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise RuntimeError("the shapes do not fit\nand much more")

    monkeypatch.setattr(server.stage, "told", fails)
    status, _, answer = asked(server, "api/stage")
    assert status == 500
    assert json.loads(answer)["error"] == "the model could not do this: RuntimeError: the shapes do not fit"
    assert "and much more" in capsys.readouterr().err
    stage = Stage(writer().loaded)
    stage.open("the cat", most=2)
    for against in (-1, 10**6):
        with (shown := Shown(stage)):
            status, _, answer = asked(shown.server, "api/agree", {"scene": 1, "output": 0, "against": against})
        assert (status, f"output {against} is not among the" in json.loads(answer)["error"]) == (400, True)


def test_what_is_not_a_number_is_no_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server.stage, "told", lambda: {"share": float("nan")})
    status, _, answer = asked(server, "api/stage")
    assert (status, "not JSON" in json.loads(answer)["error"]) == (500, True)
    capsys.readouterr()


def test_a_port_that_is_taken_is_named(server: Server) -> None:
    with pytest.raises(UsageError, match="cannot be opened"):
        Server(filler(), server.server_address[1])


def test_a_cut_and_a_why_are_asked_of_a_scene(server: Server) -> None:
    number = server.stage.open(TEXT)
    for path, body, told in (
        ("api/cut", {"layer": 0, "head": 0}, "by its number"),
        ("api/why", {"scene": "1", "output": 0, "method": "gradient"}, "by its number"),
        ("api/why", {"scene": number, "output": "0", "method": "gradient"}, "{scene, output, method, against}"),
        ("api/lens", {"scene": number, "output": 0}, "0 outputs can be explained here"),
        ("api/ways", {"scene": number, "output": -1}, "0 outputs can be explained here"),
        ("api/agree", {"scene": number, "output": 0, "against": "x"}, "{scene, output, method, against}"),
        ("api/cut", {"scene": number, "layer": 0, "head": 0}, "writes no text or class"),
        ("api/why", {"scene": 9999, "output": 0, "method": "gradient"}, "no scene 9999"),
    ):
        status, _, answer = asked(server, path, body)
        assert status == 400
        assert told in json.loads(answer)["error"]
