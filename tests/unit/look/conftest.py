"""A real browser without a screen. Whatever its page says is wrong fails the test."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

REFUSED = "status of 400"  # what the page tells a person itself
# Browsers beside each other share the machine's clipboard: each page has one of its own.
CLIPBOARD = """{
  let held = "";
  const own = { writeText: async (text) => { held = text; }, readText: async () => held };
  Object.defineProperty(navigator, "clipboard", { value: own });
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium on the path")
    with playwright.sync_playwright() as told:
        made = told.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    made = browser.new_page(viewport={"width": 1200, "height": 800})
    made.add_init_script(CLIPBOARD)
    wrong: list[str] = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on(
        "console", lambda said: wrong.append(said.text) if said.type == "error" and REFUSED not in said.text else None
    )
    yield made
    assert not wrong
    made.close()
