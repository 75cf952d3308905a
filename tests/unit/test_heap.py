"""Freed memory is kept: large blocks come from the heap, which the process keeps, not from mappings of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

WHERE = """
import sys
from pathlib import Path
from transept.heap import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("no such setting")
import torch
block = torch.ones(1 << 22)
address = block.data_ptr()
for line in Path("/proc/self/maps").read_text().splitlines():
    low, high = (int(end, 16) for end in line.split()[0].split("-"))
    if low <= address < high:
        print("heap" if line.endswith("[heap]") else "mapping")
"""


def where(mode: str) -> str:
    """Where a tensor of 16 MiB lies in a fresh process."""
    done = subprocess.run([sys.executable, "-c", WHERE, mode], capture_output=True, text=True, check=False)
    if "no such setting" in done.stderr:
        pytest.skip("this C library has no such setting")
    return done.stdout.strip()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system does not tell where memory lies")
def test_large_blocks_lie_in_the_heap() -> None:
    assert where("leave") == "mapping"
    assert where("keep") == "heap"
