"""`transept look`: what attends to what, on a page of this machine's own."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path
from typing import Annotated

import typer

from transept.cli.common import DeviceOption, ModelArgument, note, verb
from transept.errors import UsageError


def add(app: typer.Typer) -> None:
    verb(
        app,
        'transept look models/bert "when you play the game of thrones"',
        'transept look runs/demo "<2de> 5 March 2026" --html dates.html',
        "transept look models/vit cat.png",
        "transept look models/wav2vec2 speech.wav",
        'transept look models/bert "they play a game" "the game of thrones"',
        'transept look runs/one "a man ." --against runs/other',
        'transept look runs/one "a man ." --film',
    )(look)


def look(
    model: ModelArgument,
    inputs: Annotated[
        list[str] | None, typer.Argument(help="Texts, or files of pictures or of sounds.", show_default=False)
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Another model, or RUN/checkpoints/00001000, to compare with.",
            show_default=False,
        ),
    ] = None,
    film: Annotated[bool, typer.Option("--film", help="Show the texts at every checkpoint that the run kept.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write one file, which needs no server.", show_default=False),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Tokens that the model writes at most; as many as it would by itself, if this is left out.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 0,
    ssh: Annotated[
        bool,
        typer.Option("--ssh", help="Open no browser here: say how another machine reaches the page."),
    ] = False,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let --html replace a file.")] = False,
    device: DeviceOption = "cpu",
) -> None:
    """See what attends to what, on a page that opens in your browser.

    The page is served to this machine alone, under an address with a secret, until Ctrl-C. With --html it is one file,
    which anybody can open without a network.

    Each input is a scene of its own, and the page compares two of them, or two heads of one. With --against it compares
    two models. With --film it shows how a run learned, from the checkpoints that it kept: train with train.keep=20 to
    have twenty of them.
    """
    from transept.cli.evaluate import demand_free
    from transept.cli.moments import film_of, opened
    from transept.look.files import alone
    from transept.look.server import Server
    from transept.look.stage import Stage

    if html is not None:
        demand_free(html, overwrite)
    elif overwrite:
        raise UsageError("--overwrite is for --html", remedy="Leave it out: a page that is served replaces nothing.")
    if html is not None and not inputs:
        raise UsageError(
            "a file shows what it was given, and there is nothing", remedy="Name a text, a picture or a sound."
        )
    if ssh and html is not None:
        raise UsageError("--ssh is for a page that is served", remedy="Copy the file of --html: it needs no server.")
    own = opened(model, device)
    other = None if against is None else opened(against, device)
    stage = Stage(own, other, film_of(Path(model), own) if film else None)
    for given in inputs or []:
        stage.open(given, most=most, named=True)
    if html is not None:
        text, left = alone(stage)
        for one in left:
            note(f"left out: {one}")
        html.write_text(text, encoding="utf-8")
        note(f"wrote {html}, {html.stat().st_size / 1e6:.1f} MB")
        return
    server = Server(stage, port)
    if ssh:
        note(f"on the other machine: {tunnel(server.server_address[1])}; then open this there:")
    print(server.address, flush=True)
    note("Ctrl-C ends it.")
    if open_browser and not ssh:
        typer.launch(server.address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def tunnel(port: int) -> str:
    """The command that gives another machine a port of this one's own, over SSH."""
    return f"ssh -N -L {port}:127.0.0.1:{port} {getpass.getuser()}@{socket.gethostname()}"
