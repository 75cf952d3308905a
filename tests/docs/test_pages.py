"""The pages do what they say: each block of Python in docs/ and the README runs, in order, in one namespace a page."""

import re
from pathlib import Path

import pytest

from transept.spec import Part

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def with_python() -> list[Path]:
    return [page for page in PAGES if page.exists() and BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", with_python(), ids=lambda page: page.name)
def test_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    names = {"__name__": "page"}
    try:
        for found in BLOCK.finditer(text):
            line = text[: found.start(1)].count("\n")
            # Blank lines before it, so that a traceback names the page's own line.
            exec(compile("\n" * line + found[1], str(page), "exec"), names)
    finally:
        for kind in [kind for kind in Part.kinds.values() if kind.__module__ == "page"]:
            del Part.kinds[kind.__name__]  # what a page declares is not the package's


def test_the_guides_are_there() -> None:
    names = {page.name for page in with_python()}
    assert {"add-an-architecture.md", "add-an-attention.md", "add-a-position.md", "shapes.md"} <= names
