"""The finished shards that new ones follow: ``tools/shard --append``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import FORMAT_VERSION
from tools.config import ShardConfig
from tools.like import IMAGE_OPTIONS, Like


@dataclass(frozen=True, kw_only=True)
class Base(Like):
    """`starts`: for each split that there is, the number that its next shard gets, and the key of
    that shard's first source."""

    decided: ClassVar[tuple[str, ...]] = (
        *IMAGE_OPTIONS,
        *("val", "test", "unlabeled", "duplicates", "seed", "shard_size"),
    )
    starts: Mapping[str, tuple[int, int]]

    def start(self, split: str) -> tuple[int, int]:
        """The `starts` of a split, which the shards may lack."""
        return self.starts.get(split, (0, 0))


def open_base(config: ShardConfig) -> Base | None:
    """The shards in --out if --append is given, else None. Raises ``DataError`` if there are none
    that can be appended to."""
    if not config.append:
        return None
    dataset = Dataset(config.out)
    manifest = dataset.manifest
    again = "make the shards again with another --out"
    if manifest.version != FORMAT_VERSION:
        raise DataError(
            f"--append: {config.out} has format version {manifest.version}, and only version "
            f"{FORMAT_VERSION} can be appended to: {again}."
        )
    if "train" not in manifest.splits:
        raise DataError(
            f"--append: {config.out} has no split train, because --like made it, so there are no "
            f"labels to add to: pass --like again, with another --out."
        )
    starts = {}
    for name, split in manifest.splits.items():
        digits = split.shards[-1].name.removeprefix(f"{name}-").removesuffix(".tar")
        last_key = int(dataset.tables.samples(name)["key"][-1])
        starts[name] = int(digits) + 1, last_key + 1
    return Base(
        option=f"--append to {config.out}",
        manifest=manifest,
        fingerprint=dataset.fingerprint,
        starts=starts,
    )
