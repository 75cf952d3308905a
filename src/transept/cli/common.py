"""What every command shares: exit codes, messages, examples in the help, output for people and for machines."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from transept.errors import TranseptError, UsageError, is_out_of_memory

if TYPE_CHECKING:
    from rich.console import Console

FAILED, USAGE, OUT_OF_MEMORY, INTERRUPTED = 1, 2, 4, 130

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model directory, a run directory, or a name at the hub.")
]
RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name or a YAML file of your own.")]
OverridesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Keys of the recipe to change, as train.seed=7.")
]
FromOption = Annotated[
    str | None, typer.Option("--from", metavar="MODEL", help="Go on from this model, with its vocabulary.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per line, for machines.")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, or auto: a GPU where there is one.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what stands in the output directory.")]

_DEBUG = inspect.Parameter(
    "debug",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")],
)


def verb(
    app: typer.Typer, *examples: str, name: str | None = None, kind: type[TyperCommand] | None = None
) -> Callable[[Callable[..., None]], None]:
    """Register a command: its help ends with `examples`, it takes --debug, its failures become messages and codes.

    `kind` is its class, where it is another than typer's.
    """

    def register(body: Callable[..., None]) -> None:
        signature = inspect.signature(body, eval_str=True)

        @functools.wraps(body)
        def command(*, debug: bool, **given: Any) -> None:
            with guarded(debug):
                body(**given)

        shown = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
        command.__signature__ = signature.replace(parameters=[*shown, _DEBUG])  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in [*shown, _DEBUG]}
        del command.__wrapped__
        app.command(name or body.__name__, cls=kind, epilog=listing("Examples:", examples))(command)

    return register


def listing(title: str, lines: tuple[str, ...]) -> str:
    """Lines that the help prints as they are; a lone \\b before a block keeps its line ends."""
    return "\b\n" + "\n".join([title, *(f"  {line}" for line in lines)])


@contextmanager
def guarded(debug: bool) -> Iterator[None]:
    """Turn what a command raises into one message on stderr and the exit code that goes with it."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has what it wanted. Python would complain once more when it closes stdout, so give it another.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except TranseptError as error:
        _end(error.message("command"), error.exit_code, error, debug)
    except KeyboardInterrupt as error:
        _end("interrupted", INTERRUPTED, error, debug)
    except Exception as error:
        if is_out_of_memory(error):
            remedy = "Make the batches smaller (train.batch_tokens, --batch-tokens) or the model."
            _end(f"out of memory: {first_line(error)}\n  {remedy}", OUT_OF_MEMORY, error, debug)
        if isinstance(error, (typer.Exit, typer.Abort)):
            raise
        reason = f"{type(error).__name__}: {first_line(error)}"
        _end(f"{reason}\n  This is a fault of the program; --debug shows where it happened.", FAILED, error, debug)


def _end(message: str, code: int, error: BaseException, debug: bool) -> None:
    if debug:
        raise error
    say(f"error: {message}" if code != INTERRUPTED else message)
    raise typer.Exit(code) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind where it has none."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def meant(key: str, text: str) -> Any:
    """What the value of KEY=VALUE means, by the rules of a recipe; UsageError where it is not YAML."""
    from transept.recipes import yaml12

    try:
        return yaml12.value(text)
    except ValueError as error:
        raise UsageError(
            f"{key}={text}: the value is not YAML: {error}", remedy="Write a number, a word, or 'a text'."
        ) from error


def say(text: str) -> None:
    """Tell the person: a line on stderr, so that stdout holds results alone."""
    print(text, file=sys.stderr, flush=True)


def note(text: str) -> None:
    """Tell the person what they might not expect."""
    say(f"note: {text}")


def emit(record: Mapping[str, Any]) -> None:
    """One JSON object on one line of stdout."""
    print(json.dumps(record, ensure_ascii=False), flush=True)


def console(stderr: bool = False) -> Console:
    """A console for tables: plain under NO_COLOR, CI or TERM=dumb; 120 columns where no terminal is."""
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR") or os.environ.get("CI") or os.environ.get("TERM") == "dumb")
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else 120
    colours: Literal["auto"] | None = None if plain else "auto"
    return Console(stderr=stderr, no_color=plain, color_system=colours, width=width, highlight=False)
