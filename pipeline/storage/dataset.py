"""An opened shard directory: the manifest and the sample index of each split."""

import copy
import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.arrays import Integers
from pipeline.errors import DataError
from pipeline.storage.cache import FileCache
from pipeline.storage.cache_eviction import GIB, cache_root, default_limit_bytes
from pipeline.storage.cached_files import RemoteFile
from pipeline.storage.folder_kinds import instead_of_shards
from pipeline.storage.manifest import MANIFEST_NAME, Shard, joined, sample_key
from pipeline.storage.manifest_parsing import MAX_MANIFEST_BYTES, parse_manifest
from pipeline.storage.plain_files import NotPlainFileError, open_plain
from pipeline.storage.remote import RemoteFolder, is_remote
from pipeline.storage.tables import SplitTables


class Dataset:
    """An opened shard directory: its manifest, and the sample index of each split.

    Args:
        location: a folder, or an fsspec URL such as s3://bucket/shards. Files at a URL are fetched
            when they are needed.
        cache_dir: folder for fetched files, by default $XDG_CACHE_HOME or ~/.cache; they go into
            its folder "shardline".
        cache_size: limit in GiB for fetched files, by default half of the disk's free space.

    Attributes:
        manifest: the contents of ``dataset.json``: task, classes, splits, mean and std.
        fingerprint: SHA-256 in hex of ``dataset.json``; equal for equal contents.
        directory: the folder that has the files, or that they are fetched to.

    Raises:
        DataError: the directory is missing, incomplete or of another format version; or, from
            ``split``, a shard is missing or does not have the size that the manifest states.
        MisuseError: the URL can't be opened.

    Example:
        >>> dataset = Dataset("shards")
        >>> index = dataset.split("train")
        >>> len(index), dataset.manifest.classes[index.samples["label"][0]]
        (50000, 'airplane')
    """

    def __init__(
        self, location: str | Path, *, cache_dir: str | None = None, cache_size: float | None = None
    ) -> None:
        self.location = str(location).removeprefix("file://")
        remote = RemoteFolder(self.location) if is_remote(self.location) else None
        origin = f"{self.location.rstrip('/')}/{MANIFEST_NAME}"
        text = self._manifest_bytes(remote)
        self.manifest = parse_manifest(text, origin=origin)
        self.fingerprint = hashlib.sha256(text).hexdigest()
        self.cache = None
        if remote is not None:
            root = cache_root(cache_dir)
            limit = default_limit_bytes(root) if cache_size is None else int(cache_size * GIB)
            self.cache = FileCache(remote, root, self.fingerprint[:16], limit)
        self.directory = Path(self.location) if self.cache is None else self.cache.folder
        self.tables = SplitTables(self.manifest, self.file)

    def __repr__(self) -> str:
        manifest = self.manifest
        kind = "targets" if manifest.targets else "classes"
        count = len(manifest.targets or manifest.classes)
        splits = ", ".join(f"{name}: {part.samples:,}" for name, part in manifest.splits.items())
        about = f"{manifest.task}, {kind}: {count:,}, samples of {splits}"
        return f"Dataset({self.location!r}, {about})"

    def _manifest_bytes(self, remote: RemoteFolder | None) -> bytes:
        try:
            if remote is not None:
                return remote.read(MANIFEST_NAME, MAX_MANIFEST_BYTES + 1)
            with open_plain(Path(self.location) / MANIFEST_NAME) as file:
                return file.read(MAX_MANIFEST_BYTES + 1)
        except (OSError, DataError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            if isinstance(error, NotPlainFileError):
                reason = "it is not a file"
            advice = "" if remote is not None else f". {instead_of_shards(Path(self.location))}"
            raise DataError(
                f"{self.location} holds no complete shards ({MANIFEST_NAME}: {reason}){advice}"
            ) from error

    def require(self, *tasks: str) -> None:
        """Raise ``DataError`` unless the manifest's task is one of `tasks`."""
        if self.manifest.task not in tasks:
            raise DataError(
                f"{self.location} is stored for {self.manifest.task}, but this command reads "
                f"{' or '.join(tasks)}."
            )

    def file(self, name: str, most_bytes: int | None = None) -> Path:
        """The path of a table, such as ``sources_name(split)``; fetched from a URL, unless it is
        longer than `most_bytes` there."""
        name = self.manifest.table_name(name)
        if name not in self.manifest.files:
            raise DataError(
                f"{self.location} has no {name} in {MANIFEST_NAME}: make the shards again."
            )
        if self.cache is None:
            return self.directory / name
        size = self.cache.remote.size_bytes(name)
        if most_bytes is not None and size > most_bytes:
            raise DataError(
                f"{self.location.rstrip('/')}/{name} is {size:,} bytes long, but a table of the "
                f"samples in {MANIFEST_NAME} has at most {most_bytes:,}: upload it again, or make "
                f"the shards again.{self.cache.remote.about_beginning(name)}"
            )
        return self.cache.path(RemoteFile(name, size, self.manifest.files[name]))

    def split(self, *names: str) -> "SplitIndex":
        """Open a split: "train", "val" or "test", as far as the dataset has it; or several as one,
        whose tables and shards have those of the first split first."""
        self.require_splits(*names)
        return SplitIndex(self, names)

    def require_splits(self, *names: str) -> None:
        """Raise ``DataError`` unless the dataset has all these splits."""
        for name in names:
            if name not in self.manifest.splits:
                raise DataError(
                    f"{self.location} has no split {name!r}, only: "
                    f"{', '.join(self.manifest.splits)}."
                )


class SplitIndex:
    """The samples of a split, of several splits or of a part of them; ``len`` is their number.

    The tables have a row for each sample of the splits. ``rows`` gives the rows of the samples that
    this index has: all, except in a ``part``.

    Attributes:
        name: for messages.
        splits, split: the manifest's facts about each whole split by name, and about all together.
        task, classes: the manifest's task, and the number of its classes.
        directory: the folder that has the files, or that they are fetched to.
        cache: fetches the files of a URL; None for a folder.

    Raises:
        DataError: see ``Dataset``; also if a table is damaged, does not fit the split or has an
            impossible value.
    """

    def __init__(self, dataset: Dataset, names: tuple[str, ...]) -> None:
        self.splits = {name: dataset.manifest.splits[name] for name in names}
        self.name, self.split = " and ".join(names), joined(self.splits.values())
        self.task, self.classes = dataset.manifest.task, len(dataset.manifest.classes)
        self.directory, self.cache = dataset.directory, dataset.cache
        self._dataset, self._location = dataset, dataset.location.rstrip("/")
        self._part: Integers | None = None
        if self.cache is None:
            for shard in self.split.shards:
                check_shard(dataset.directory, shard)
        _ = self.samples

    def __len__(self) -> int:
        return self.split.samples if self._part is None else len(self._part)

    def __repr__(self) -> str:
        return f"SplitIndex({self.name} of {self._location!r}, samples: {len(self):,})"

    def part(self, rows: Integers, name: str) -> "SplitIndex":
        """The samples at `rows` (B,), in ascending order, with the same tables and shards."""
        part = copy.copy(self)
        part._part, part.name = rows, name
        return part

    def rows(self, numbers: Integers | None = None) -> Integers:
        """Rows in the tables, int64 (B,), of the samples `numbers` (B,), counted from 0; of all by
        default."""
        numbers = np.arange(len(self)) if numbers is None else numbers
        return numbers if self._part is None else self._part[numbers]

    @cached_property
    def samples(self) -> np.ndarray:
        """SAMPLE_DTYPE, shape (samples,), read-only; label -1 for a sample without one."""
        tables = [self._dataset.tables.samples(name) for name in self.splits]
        if len(tables) == 1:
            return tables[0]
        shards = [len(split.shards) for split in self.splits.values()]
        samples = np.concatenate(tables)
        samples["shard"] += np.repeat(np.cumsum(shards) - shards, [*map(len, tables)]).astype("<u4")
        samples.flags.writeable = False
        return samples

    @cached_property
    def masks(self) -> np.ndarray:
        """MASK_DTYPE, shape (samples,), read-only; zeros for a sample without a mask. Segmentation
        only."""
        return concatenated([self._dataset.tables.masks(name) for name in self.splits])

    @cached_property
    def targets(self) -> np.ndarray:
        """float32 (samples, targets), read-only; a row of NaN for a sample without a label.
        Multi-label and regression only."""
        return concatenated([self._dataset.tables.targets(name) for name in self.splits])

    @property
    def class_counts(self) -> Integers:
        """Number of this index's samples that show each class, int64 (classes,). Classification and
        multi-label only."""
        if self.task == "multi-label":
            return np.asarray(np.count_nonzero(self.targets[self.rows()] > 0, axis=0))
        labels = self.samples["label"][self.rows()]
        return np.bincount(labels[labels >= 0], minlength=self.classes)

    def lists(self, name: str) -> bool:
        """Whether the dataset has the table `name`, such as ``submission_name(split)``."""
        manifest = self._dataset.manifest
        return manifest.table_name(name) in manifest.files

    def file(self, name: str) -> Path:
        """The path of a file other than a tar, see ``Dataset.file``."""
        return self._dataset.file(name)

    def where(self, shard: int) -> str:
        """The path or URL of a tar."""
        return f"{self._location}/{self.split.shards[shard].name}"

    def describe(self, sample: int) -> str:
        """Key and shard of `sample`, a row, as text."""
        row = self.samples[sample]
        return f"sample {sample_key(int(row['key']))} of {self.where(int(row['shard']))}"


def concatenated(tables: list[np.ndarray]) -> np.ndarray:
    """The rows of all tables; of a single one without a copy."""
    return tables[0] if len(tables) == 1 else np.concatenate(tables)


def check_shard(directory: Path, shard: Shard) -> None:
    """Raise ``DataError`` if the tar is missing or does not have the manifest's size."""
    path = directory / shard.name
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(
            f"{path} can't be read ({error.strerror}), but {MANIFEST_NAME} lists it."
        ) from error
    if size != shard.bytes:
        raise DataError(
            f"{path} is {size} bytes long, {MANIFEST_NAME} says {shard.bytes}: it was cut off or "
            f"changed. Copy it again or make the shards again."
        )
