"""Models of the hub, by their names there: in the cache where they are, and over the network where that is allowed."""

import re
from pathlib import Path

from transept.data.columnar import offline
from transept.errors import InvalidData, nearest

NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
FILES = ["*.json", "*.txt", "*.model", "*.jinja", "README.md"]  # never code
WEIGHTS = ["*.safetensors"]  # never a pickle unasked
PICKLES = ["pytorch_model*.bin"]


def is_name(text: str) -> bool:
    """Whether a text may be a model's name at the hub: NAME or OWNER/NAME, where no folder OWNER is here."""
    if not NAME.fullmatch(text) or ".." in text or "--" in text:
        return False
    return "/" not in text or not Path(text).parent.is_dir()


def meant(path: Path) -> str:
    """The words " Did you mean ..?" where a folder of a name like a path's stands in its place, or nothing."""
    try:
        beside = sorted(entry.name for entry in path.parent.iterdir() if entry.is_dir())
    except OSError:  # no such parent either, or none that may be read
        return ""
    return nearest(path.name, beside)


def name_of(root: Path) -> str | None:
    """The name at the hub of a directory in its cache; None of another directory."""
    kind, *words = root.parent.parent.name.split("--")
    return "/".join(words) if root.parent.name == "snapshots" and kind == "models" and words else None


def fetch(name: str, *, weights: bool = True, allow_pickle: bool = False) -> Path:
    """The directory of a model of the hub, in its usual cache. Nothing else here uses the network.

    HF_HUB_OFFLINE or TRANSEPT_OFFLINE leaves it to the cache. Without `weights` the small files come alone;
    `allow_pickle` takes pickled weights where there are no others. Raises InvalidData with the reason where nothing is
    found.
    """
    import huggingface_hub
    from huggingface_hub import constants

    switch = offline()
    cached = switch is not None or constants.HF_HUB_OFFLINE
    try:
        wanted = [*FILES, *(WEIGHTS if weights else [])]
        root = Path(huggingface_hub.snapshot_download(name, allow_patterns=wanted, local_files_only=cached))
        if weights and allow_pickle and not any(root.glob(WEIGHTS[0])):
            wanted += PICKLES
            root = Path(huggingface_hub.snapshot_download(name, allow_patterns=wanted, local_files_only=cached))
    except Exception as error:  # of several libraries: no network, no such name, no permission, not in the cache
        reason = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        if cached:
            why = (
                f"the cache of the hub has no model of this name, and {switch or 'HF_HUB_OFFLINE'} forbids the network"
            )
        else:
            why = f"it could not be fetched: {reason}"
        raise InvalidData(
            f"there is no such directory: {name}; and {why}.{meant(Path(name))}",
            remedy="A model is a directory that Transept or Hugging Face wrote, a run directory of training, or a name"
            " at the hub: OWNER/NAME.",
        ) from error
    return root
