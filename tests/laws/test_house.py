"""The house: who may import whom, empty package files, files of one idea, and what must not load torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import transept

PACKAGE = Path(transept.__file__).parent
GROUND = {"errors", "durable", "spec"}

# A room, and what its files may import beside the ground and their own room. A name allows all below it; the longest
# room that names a file counts, so `tasks.task` has a line of its own.
HOUSE = {
    "errors": set(),
    "durable": set(),
    "device": set(),
    "heap": set(),
    "spec": set(),
    "templates": set(),
    "renaming": {"templates"},
    "names": {"renaming", "templates"},
    "parts": set(),
    "inputs": {"parts"},
    "heads": {"parts"},
    "topology": {"parts"},
    "fitting": {"parts", "inputs", "heads"},
    "models": {"parts", "inputs", "heads", "topology", "fitting"},
    "families": {"names", "parts", "inputs", "heads", "models", "topology"},
    "data": set(),
    "decode": {"parts.cache", "parts.memory", "models", "topology"},
    "hub": {
        "device",
        "names",
        "templates",
        "parts",
        "inputs",
        "heads",
        "families",
        "models",
        "topology",
        "data",
        "decode",
    },
    "inspect": {"parts", "inputs", "heads", "models", "topology"},
    "use": {"families.configuration", "device", "parts", "inputs", "heads", "models", "topology"}
    | {"data", "decode", "hub", "inspect"},
    "look": {"inspect", "parts", "inputs", "heads", "models", "topology", "data", "decode", "use"},
    "recipes": {"tasks.settings"},
    "tasks.settings": {"data.config", "data.config_senses", "data.config_tables", "decode.config", "train.config"},
    "tasks.task": {"parts.loss"},
    "tasks": {
        "parts.loss",
        "parts.carried",
        "parts.entered",
        "parts.looks",
        "parts.hard",
        "parts.convolution",
        "inputs",
        "heads",
        "families",
        "models",
        "topology",
        "data",
        "decode",
        "hub",
    },
    "train": {"device", "heap", "tasks.task", "parts.loss", "parts.lora", "parts.named"},
    "__main__": {"cli"},
}
HOUSE["cli"] = set(HOUSE) - {"__main__"}
HOUSE["__init__"] = set(HOUSE) - {"__main__", "cli", "train"}  # the public names stand for things in these rooms

TORCH_FREE = (
    "__init__",
    "errors",
    "durable",
    "spec",
    "data.config",
    "data.config_senses",
    "data.config_tables",
    "train.config",
    "decode.config",
    "tasks.settings",
    "recipes",
    "cli",
)
LINES = 350


def modules(package: Path) -> dict[str, Path]:
    """Every module below `package` by its dotted name without the package's own."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


def imports(path: Path, known: set[str]) -> Iterator[tuple[int, str]]:
    """(line, dotted name without the package's own) of every import of the package, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: an import must say its whole name"
            for alias in node.names:
                name = f"{node.module}.{alias.name}".removeprefix("transept.")
                if node.module == "transept" or str(node.module).startswith("transept."):
                    yield node.lineno, name if name in known else str(node.module).removeprefix("transept.")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "transept" or alias.name.startswith("transept."):
                    yield node.lineno, alias.name.removeprefix("transept.")


def inside(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def room_of(name: str) -> str:
    rooms = [room for room in HOUSE if inside(name, room)]
    assert rooms, f"{name} stands in no room of the table"
    return max(rooms, key=len)


def trespasses(package: Path) -> list[str]:
    """Each import that the table does not allow, as `file:line: a imports b`."""
    found, known = [], modules(package)
    for name, path in known.items():
        room = room_of(name)
        allowed = (
            HOUSE[room] | GROUND | {room, room.split(".")[0]} if room not in GROUND else GROUND - {"spec"} | {room}
        )
        for line, target in imports(path, set(known)):
            if target == "transept":  # its version
                continue
            if not any(inside(target, a) for a in allowed):
                found.append(f"{path.relative_to(package)}:{line}: {name} imports {target}")
    return found


def test_nobody_imports_what_the_table_forbids():
    assert trespasses(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("parts/attention.py", "from transept.models import Model"),
        ("models.py", "from transept.families import transformer"),
        ("train/loop.py", "from transept.tasks.translation import Translation"),
        ("train/loop.py", "import transept.cli.common"),
        ("decode/beam.py", "from transept.parts import attention"),
        ("recipes/recipe.py", "from transept.data import pairs"),
        ("data/pairs.py", "def late():\n    from transept.models import Model"),
        ("spec.py", "from transept.parts.core import Core"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path, file, line):
    for room in ("parts", "families", "tasks", "cli", "data", "recipes", "decode", "train"):
        (tmp_path / room).mkdir()
    for there in ("models.py", "spec.py", "families/transformer.py", "tasks/translation.py", "cli/common.py"):
        (tmp_path / there).touch()
    for there in ("data/pairs.py", "parts/attention.py", "parts/core.py", "parts/cache.py"):
        (tmp_path / there).touch()
    assert trespasses(tmp_path) == []
    (tmp_path / file).write_text(line + "\n")
    assert len(trespasses(tmp_path)) == 1
    assert trespasses(tmp_path)[0].startswith(f"{file}:")


def test_package_files_hold_a_line_of_what_and_nothing_else():
    for path in PACKAGE.rglob("*/__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) <= 1, f"{path} does something"
        assert all(isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) for s in body), (
            f"{path} does something"
        )


def test_a_file_says_one_thing():
    long = {str(p.relative_to(PACKAGE)): n for p in PACKAGE.rglob("*.py") if (n := p.read_bytes().count(b"\n")) > LINES}
    assert long == {}


def loads(statements: str) -> set[str]:
    """The heavy libraries that a fresh Python holds after `statements`."""
    code = f"{statements}\nimport sys\nprint(*({{'torch', 'transformers', 'numpy', 'sacrebleu'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_what_must_stay_light_loads_nothing_heavy():
    light = [name for name in modules(PACKAGE) if any(inside(name, room) for room in TORCH_FREE) and name != "__init__"]
    assert len(light) > 15
    assert loads("\n".join(["import transept", *(f"import transept.{name}" for name in light)])) == set()


def test_what_is_heavy_would_be_noticed():
    assert "torch" in loads("import transept.parts.attention")
