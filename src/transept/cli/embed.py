"""`transept embed`: one vector for each text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, OverwriteOption, emit, note, say, verb
from transept.cli.lines import WINDOW, FileOption, Lines, PlainTextsArgument, WindowOption
from transept.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def add(app: typer.Typer) -> None:
    verb(
        app,
        'transept embed models/minilm "A cat sits." "A dog lies." --json',
        "transept embed models/minilm -f sentences.txt --out vectors.npy",
        "transept embed models/bert -f sentences.txt --pool class --normalise",
    )(embed)


def embed(
    model: ModelArgument,
    texts: PlainTextsArgument = None,
    file: FileOption = None,
    pool: Annotated[
        str | None, typer.Option("--pool", help="mean, class (cls) or last; else as modules.json says.")
    ] = None,
    normalise: Annotated[
        bool | None, typer.Option("--normalise/--plain", help="Vectors of length 1 or not; else as modules.json says.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", help="One of the model's prompts by name; '' for none.")
    ] = None,
    truncate: Annotated[bool, typer.Option("--truncate", help="Leave out the end of what is too long.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write them there, as a matrix of NumPy.")] = None,
    overwrite: OverwriteOption = False,
    window: WindowOption = WINDOW,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Embed texts: one vector for each line.

    The numbers of a vector on a line, spaces between them. How vectors are made is said, and what was cut.
    """
    import numpy as np

    from transept.durable import replace_file
    from transept.use.embed import chosen
    from transept.use.loaded import load

    if out is not None and (out.is_dir() or (out.exists() and not overwrite)):
        raise UsageError("this is there already", where=out, remedy="Name another file, or use --overwrite.")
    lines = Lines(texts or [], file, window, machine=as_json, quiet=out is not None)
    loaded = load(model, device=device, say=note)
    loaded.demand_ready("embed")
    how = chosen(loaded, pool, normalise, prompt)
    if pool is None:
        say(f"a vector is {how}; --pool, --normalise and --prompt change it")
    found: dict[int, NDArray[np.float32]] = {}
    for number, text, vector in lines.answered(
        lambda batch, first: list(
            loaded.embed(batch, pool=pool, normalise=normalise, prompt=prompt, truncate=truncate, first=first, say=say)
        )
    ):
        if out is not None:
            found[number] = vector
        elif as_json:
            emit({"line": number, "source": text, "vector": vector.tolist()})
        else:
            print(" ".join(f"{value:.6g}" for value in vector))
    if out is not None:
        from io import BytesIO

        matrix, content = np.full((lines.count, loaded.width), np.nan, np.float32), BytesIO()
        for number, vector in found.items():
            matrix[number - 1] = vector
        np.save(content, matrix)
        replace_file(out, content.getvalue())
        print(f"{out}: {matrix.shape[0]} vectors of {matrix.shape[1]} numbers")
        if lines.missed:
            say(f"{out}: the row of a text without an answer is NaN")
    lines.end()
