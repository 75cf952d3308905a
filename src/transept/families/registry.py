"""The families that there are: every module beside this one that declares a model."""

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from transept import families
from transept.errors import InvalidConfig, nearest


@cache
def all_families() -> dict[str, ModuleType]:
    """Every family by its name, which is its file's name."""
    names = sorted(module.name for module in pkgutil.iter_modules(families.__path__))
    modules = {name: importlib.import_module(f"{families.__name__}.{name}") for name in names if name != "registry"}
    return {name: module for name, module in modules.items() if hasattr(module, "declare")}


def family(name: str) -> ModuleType:
    """The family of a name. Raises InvalidConfig with the nearest one."""
    known = all_families()
    if name not in known:
        raise InvalidConfig(
            f"there is no family {name!r}.{nearest(name, known)}", remedy=f"There are: {', '.join(known)}."
        )
    return known[name]


def family_of_hf(model_type: str) -> ModuleType | None:
    """The family that reads Hugging Face's `model_type`, or None."""
    return next((m for m in all_families().values() if model_type in getattr(m, "HF_MODELS", {})), None)
