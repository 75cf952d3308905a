"""What the process does with memory that it has freed: keep it for the next step.

The C library gives every block above 128 KiB back to the system when it is freed, and a step frees and takes back some
hundred of them. Each return costs a page fault per 4 KiB: on a virtual machine, up to a third of a training step.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # malloc.h


def keep_freed_memory() -> bool:
    """Let malloc keep what is freed, for the life of the process. Returns whether the C library took it.

    Peak memory stays what it is; memory after the peak is not given back. Only glibc has the setting: elsewhere nothing
    happens, and nothing is lost but speed.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is None:
        return False
    options = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 << 20}
    return all(set_option(option, value) for option, value in options.items())
