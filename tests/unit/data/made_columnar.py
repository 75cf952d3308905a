"""Tables whose columns have types: as Parquet, as a folder that datasets saved, and in a cache of the hub."""

import shutil
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
KINDS = ("parquet", "folder", "hub")


def write_columnar(kind: str, folder: Path, columns: dict[str, list[Any]], features: dict[str, Any]) -> str:
    """What a recipe writes to name such a table, which has the name `toy` and the one split `train`."""
    import datasets

    datasets.disable_progress_bars()
    folder.mkdir(parents=True, exist_ok=True)
    made = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    if kind == "parquet":
        made.to_parquet(folder / "toy.parquet")
        return str(folder / "toy.parquet")
    if kind == "folder":
        made.save_to_disk(folder / "toy")
        return str(folder / "toy")
    write_cached(folder / "cache", {"train": made})
    return "hub:owner/toy:train"


def write_cached(cache: Path, splits: dict[str, Any], name: str = "owner/toy", config: str = "default") -> None:
    """What lies in the cache of datasets when a data set of the hub was read once."""
    import datasets

    owner, short = name.split("/")
    source = cache / "source" / short
    shutil.rmtree(source, ignore_errors=True)
    for split, made in splits.items():
        made.to_parquet(source / f"{split}.parquet")
    builder = datasets.load_dataset_builder(str(source), cache_dir=str(cache / "made"))
    builder.download_and_prepare()
    there = cache / f"{owner}___{short}" / config / "0.0.0" / COMMIT
    shutil.copytree(builder.cache_dir, there)
    told = (there / "dataset_info.json").read_text()
    (there / "dataset_info.json").write_text(told.replace('"config_name": "default"', f'"config_name": "{config}"'))


def at_home(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Let datasets look into a cache of its own, and nowhere else."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(cache))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", datasets.config.HF_HUB_OFFLINE)
    monkeypatch.setenv("TRANSEPT_OFFLINE", "1")
