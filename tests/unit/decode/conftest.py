"""Caches start so small here that every search has to make room."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from transept.decode import batch


@pytest.fixture(autouse=True, scope="module")
def _small_caches() -> Iterator[None]:
    with patch.object(batch, "NARROW", 1), patch.object(batch, "GROWTH", 1):
        yield
