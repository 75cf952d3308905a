"""Where to compute: one choice and one refusal, whoever asks."""

import re

import torch

from transept.errors import UsageError, nearest


def find_device(wanted: str, process: int = 0) -> torch.device:
    """The device that "auto", "cpu", "cuda" or "cuda:N" means for one of this machine's processes.

    "auto" is a GPU of CUDA where there is one. UsageError names what there is here. Apple's mps is refused: it has no
    float64, in which losses are summed and hypotheses compared.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        wanted = "cuda" if count else "cpu"
    here = f"Here there are: auto, cpu{''.join(f', cuda:{index}' for index in range(count))}."
    if wanted == "mps":
        raise UsageError("mps is not supported: it has no float64, in which sums are made", remedy=here)
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", wanted)
    if not match:
        raise UsageError(f"there is no device {wanted!r}.{nearest(wanted, ('auto', 'cpu', 'cuda'))}", remedy=here)
    if wanted == "cpu":
        return torch.device("cpu")
    index = process if match[1] is None else int(match[1])
    if index >= count:
        raise UsageError(f"there is no cuda:{index} here: torch sees {count} of them", remedy=here)
    return torch.device("cuda", index)
