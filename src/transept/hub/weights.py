"""The weights of a model directory against the model that its description declares.

Everything that can be known from names, types and shapes is checked on the meta device, where a tensor has no data: no
memory is asked for on the word of a configuration that its own file does not bear out.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transept.errors import InvalidConfig, InvalidData, nearest
from transept.hub import pickles
from transept.hub.fetch import name_of
from transept.hub.files import bare, member, present, read_json
from transept.hub.tensors import Declared, header, read
from transept.names import Names, hinted
from transept.topology import Built, Topology, outline

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLE, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
BY_NAME = (
    "`transept import DIR_OR_NAME OUT --allow-pickle` (allow_pickle=True) takes nothing but tensors out of"
    f" {PICKLE}, and OUT has {WEIGHTS}."
)
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

Files = dict[Path, dict[str, Declared]]


def find(root: Path, allow_pickle: bool = False) -> Files:
    """The files that hold the weights, with what they declare. A pickle is opened only where it is allowed."""
    for whole, index in ((WEIGHTS, INDEX), *([(PICKLE, PICKLE_INDEX)] if allow_pickle else [])):
        if (root / whole).is_symlink() or (root / whole).exists():
            path = member(root, whole)
            return {path: declared_in(path)}
        if (root / index).is_symlink() or (root / index).exists():
            return sharded(root, index)
    names = sorted(path.name for path in root.iterdir() if path.suffix in PICKLES)
    if names:
        raise InvalidData(
            f"the weights are a pickle ({names[0]}), which can run any program when it is read",
            where=root,
            remedy=f"If you trust it: {BY_NAME}",
        )
    name = name_of(root)
    unasked = f"{name} may have pickled ones, which are not fetched unasked: {BY_NAME}" if name else None
    raise InvalidData(f"{WEIGHTS} is missing", where=root, remedy=unasked or present(root))


def declared_in(path: Path) -> dict[str, Declared]:
    """What a file declares, of either form."""
    return pickles.header(path) if path.suffix == ".bin" else header(path)


def sharded(root: Path, index: str = INDEX) -> Files:
    """Weights in several files: each tensor is in the one file that the index names, and nowhere else."""
    path, suffix = member(root, index), ".bin" if index == PICKLE_INDEX else ".safetensors"
    places = read_json(path).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise InvalidData("there is no weight_map", where=path)
    for name, file in places.items():
        if not isinstance(file, str) or not bare(file) or not file.endswith(suffix):
            raise InvalidData(f"{name} is said to be in {file!r}, which is no {suffix[1:]} file beside it", where=path)
    files = {member(root, file): declared_in(member(root, file)) for file in dict.fromkeys(places.values())}
    for file, declared in files.items():
        for name in declared:
            if places.get(name) != file.name:
                raise InvalidData(f"{name} is here, but the index has it in {places.get(name)}", where=file)
    for name, file in places.items():
        if name not in files[root / file]:
            raise InvalidData(f"{name} is not in {file}.{nearest(name, files[root / file])}", where=path)
    return files


def look(root: Path, wanted: Sequence[str], allow_pickle: bool = False) -> dict[str, Tensor]:
    """Those of the wanted tensors that the files hold, under their own names.

    There are none where the weights are not here or cannot be read, which `load` refuses with its reason.
    """
    found: dict[str, Tensor] = {}
    try:
        for path, content in find(root, allow_pickle).items():
            if names := [name for name in wanted if name in content]:
                found |= pickles.read(path, names) if path.suffix == ".bin" else read(path, names)
    except InvalidData:
        return {}
    return found


def load(
    root: Path, spec: Topology, names: Names | None, dtype: str | None, allow_pickle: bool = False
) -> tuple[Built, dict[str, str]]:
    """The built model with its weights, of the type that they are stored in, and what was left out with its reason.

    `names` is None where the file has our own names. `dtype` is what the configuration declares.
    """
    files = find(root, allow_pickle)
    where = next(iter(files)) if len(files) == 1 else root
    declared = {name: what for content in files.values() for name, what in content.items()}
    model = blank(spec, len(declared), root)
    wanted = model.state_dict()
    empty, aside = ours(names, {name: what.empty() for name, what in declared.items()}, wanted, where)
    check_types({name: what for name, what in declared.items() if name not in aside}, dtype, where)
    for name, tensor in empty.items():
        if tensor.shape != wanted[name].shape:
            theirs = names.their_name(name) if names else name
            raise InvalidData(
                f"{theirs} has the shape {tuple(tensor.shape)}, the model expects {tuple(wanted[name].shape)}",
                where=where,
                remedy="The weights and the configuration must be of one model.",
            )
    found: dict[str, Tensor] = {}
    for path, content in files.items():
        found |= pickles.read(path, content) if path.suffix == ".bin" else read(path, content)
    state, dropped = ours(names, found, wanted, where)
    model.load_state_dict(owned(state, found), assign=True)
    left = [name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if tensor.is_meta]
    assert not left, f"without a value after loading: {left}"
    return model.eval(), dropped


def owned(state: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, each with memory of its own. Those that are still a file's would change under another's writing."""
    filed = {tensor.untyped_storage().data_ptr() for tensor in found.values()}
    return {
        name: tensor.clone() if tensor.untyped_storage().data_ptr() in filed else tensor
        for name, tensor in state.items()
    }


def ours(
    names: Names | None, theirs: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: Path
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Their tensors under our names; without a table the names are ours already."""
    if names is not None:
        return names.to_ours(theirs, wanted, where=where)
    missing = [name for name in wanted if name not in theirs]
    unknown = [name for name in theirs if name not in wanted]
    if missing or unknown:
        lacks = f"{len(missing)} missing ({', '.join(missing[:3])})" if missing else ""
        has = f"{len(unknown)} unknown ({', '.join(hinted(name, wanted) for name in unknown[:3])})" if unknown else ""
        raise InvalidData(f"tensors: {' and '.join(filter(None, (lacks, has)))}", where=where)
    return {name: theirs[name] for name in wanted}, {}


def check_types(declared: Mapping[str, Declared], dtype: str | None, where: Path) -> None:
    """One type of real numbers, the one that the configuration names."""
    kinds = Counter(what.dtype for what in declared.values())
    common = max(kinds, key=kinds.__getitem__, default=torch.float32)
    for name, what in declared.items():
        if what.dtype != common or not what.dtype.is_floating_point:
            raise InvalidData(f"{name} is of {spoken(what.dtype)}, the weights are of {spoken(common)}", where=where)
    if dtype not in (None, spoken(common)):
        raise InvalidData(f"the weights are of {spoken(common)}, config.json says {dtype}", where=where)


def spoken(dtype: torch.dtype) -> str:
    """ "float32" """
    return str(dtype).removeprefix("torch.")


def blank(spec: Topology, tensors: int, where: Path) -> Built:
    """The model without data. A stack deeper than there are tensors is refused before its blocks are made."""
    if (deep := max(depths(spec.to_dict()), default=0)) > tensors:
        raise InvalidConfig(f"a stack of {deep} blocks is declared, and {tensors} tensors are stored", where=where)
    try:
        return outline(spec)
    except InvalidConfig as error:  # what a part cannot be
        raise InvalidConfig(**error.fields(where=where)) from None
    except (RuntimeError, TypeError, OverflowError) as error:  # sizes beyond what a tensor can have
        reason = str(error).splitlines()[0]
        raise InvalidConfig(f"the model cannot be built: {reason}", where=where) from None


def depths(data: Any) -> Iterator[int]:
    """Every `depth` in a description."""
    if isinstance(data, dict):
        yield from (value for key, value in data.items() if key == "depth" and isinstance(value, int))
        data = list(data.values())
    if isinstance(data, list):
        for value in data:
            yield from depths(value)
