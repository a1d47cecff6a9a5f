"""The vocabulary on disk: manifest, shard names, sample index. Writer and readers share it.

A shard directory holds, for a split "train":

    dataset.json            the manifest, written last: a directory without it is not complete
    train-000000.tar        USTAR, members 000000000.cls and 000000000.jpg (or .png)
    train-000000.idx        DALI's index of that tar
    train.samples.npy       SAMPLE_DTYPE, one row a sample, in the order of the tars
    train.targets.npy       multi-label and regression: float32 (samples, targets)
    train.masks.npy         segmentation: MASK_DTYPE, one row a sample
    train.sources.parquet   key, source: the file or row of the download behind each sample
    rejected.csv            source, reason: what made no sample

Where another task is stored, ``target.npy`` or ``mask.png`` stands in the place of ``cls``.
"""

import hashlib
import json
import tokenize
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache import GIB, FileCache, Wanted, cache_root, default_limit_bytes
from pipeline.errors import DataError
from pipeline.remote import RemoteFolder, is_remote

FORMAT_VERSION = 2
MANIFEST_NAME = "dataset.json"
REJECTED_NAME = "rejected.csv"
IMAGE_COMPONENTS = ("jpg", "png")

# What is learnt -> the component that says it. A mask is an 8-bit PNG of class indices, 255 where
# nothing is said; target.npy holds float32 (targets,).
TARGET_COMPONENTS = {
    "classification": "cls",
    "multi-label": "target.npy",
    "regression": "target.npy",
    "segmentation": "mask.png",
}

# 36 bytes: a million samples are 36 MB, mapped. A key is the sample's place in the split as it was
# planned; keys rise, and one is missing where a source was rejected. Offset and size are those of
# the image's bytes in its tar, in bytes; the label is -1 unless the task is classification; height
# and width are in pixels of the upright image; crc32 is zlib's.
SAMPLE_DTYPE = np.dtype(
    [
        ("shard", "<u4"),
        ("key", "<u4"),
        ("offset", "<u8"),
        ("size", "<u4"),
        ("label", "<i4"),
        ("height", "<u4"),
        ("width", "<u4"),
        ("crc32", "<u4"),
    ]
)

# The mask's bytes, in the image's tar.
MASK_DTYPE = np.dtype([("offset", "<u8"), ("size", "<u4"), ("crc32", "<u4")])


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One tar: file name, number of samples, size in bytes, SHA-256 in hex."""

    name: str
    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Split:
    """One split: its shards in order and, for each class, the number of samples that show it."""

    shards: tuple[Shard, ...]
    class_counts: tuple[int, ...]

    @property
    def samples(self) -> int:
        return sum(shard.samples for shard in self.shards)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What ``dataset.json`` says.

    ``task`` is a key of TARGET_COMPONENTS. ``classes`` are in the order of the labels, of the
    columns of a multi-label target, or of a mask's values; ``targets`` names the columns of a
    regression's. ``mean`` and ``std`` are per RGB channel over the pixels of the training split
    (of at least 1,024 images, every fourth row where they are higher than 64 px), in fractions of
    255. ``heights`` and
    ``widths`` are (minimum, median, maximum) in pixels over all splits. ``files`` are
    the SHA-256 of all other files, in hex, by name. ``made_by`` holds the tool's version and the
    arguments that shape the bytes.
    """

    task: str
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    splits: dict[str, Split]
    files: dict[str, str]
    image_components: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    heights: tuple[int, int, int]
    widths: tuple[int, int, int]
    rejected: int
    made_by: dict[str, Any]
    version: int = FORMAT_VERSION

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, origin: str | Path) -> "Manifest":
        """Parse; `origin` names the file in the ``DataError`` that unusable text raises."""
        try:
            fields = json.loads(text)
            version = fields["version"]
            if version != FORMAT_VERSION:
                raise DataError(
                    f"{origin} is of format version {version!r}, this shardline reads version "
                    f"{FORMAT_VERSION}: make the shards again with tools/shard, or install the "
                    f"shardline that wrote them."
                )
            splits = {
                name: Split(
                    shards=tuple(Shard(**shard) for shard in split["shards"]),
                    class_counts=tuple(split["class_counts"]),
                )
                for name, split in fields.pop("splits").items()
            }
            plain: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in fields.items()
            }
            return cls(splits=splits, **plain)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"{origin} is not a manifest that tools/shard wrote: make the shards again."
            ) from error


def shard_name(split: str, number: int) -> str:
    return f"{split}-{number:06d}.tar"


def index_name(shard: str) -> str:
    return shard.removesuffix(".tar") + ".idx"


def samples_name(split: str) -> str:
    return f"{split}.samples.npy"


def targets_name(split: str) -> str:
    return f"{split}.targets.npy"


def masks_name(split: str) -> str:
    return f"{split}.masks.npy"


def sources_name(split: str) -> str:
    return f"{split}.sources.parquet"


def sample_key(number: int) -> str:
    """A key as it stands in names: digits alone, since WebDataset ends a key at its first dot."""
    return f"{number:09d}"


class Dataset:
    """An opened shard directory: the manifest and, mapped on demand, the sample index of a split.

    `location` is a folder or an fsspec URL. What lies at a URL is fetched into `cache_dir` (by
    default the user's cache folder) when it is needed, in which at most `cache_size` GiB are kept
    (by default half of the disk's free space).

    Raises ``DataError`` where the directory is missing, incomplete, of another version, or holds a
    shard whose size is not the manifest's.
    """

    def __init__(
        self,
        location: str | Path,
        *,
        cache_dir: str | None = None,
        cache_size: float | None = None,
    ) -> None:
        self.location = str(location).removeprefix("file://")
        remote = RemoteFolder(self.location) if is_remote(self.location) else None
        origin = f"{self.location.rstrip('/')}/{MANIFEST_NAME}"
        text = self._manifest_bytes(remote)
        self.manifest = Manifest.from_json(text.decode(errors="replace"), origin=origin)
        self.fingerprint = hashlib.sha256(text).hexdigest()
        self.cache = None
        if remote is not None:
            root = cache_root(cache_dir)
            limit = default_limit_bytes(root) if cache_size is None else int(cache_size * GIB)
            self.cache = FileCache(remote, root, self.fingerprint[:16], limit)
        self.directory = Path(self.location) if self.cache is None else self.cache.folder

    def _manifest_bytes(self, remote: RemoteFolder | None) -> bytes:
        try:
            if remote is not None:
                return remote.read(MANIFEST_NAME)
            return (Path(self.location) / MANIFEST_NAME).read_bytes()
        except (OSError, DataError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise DataError(
                f"{self.location} holds no complete shards ({MANIFEST_NAME}: {reason}). "
                f"Make some with: tools/shard --src kaggle/ --out {self.location}"
            ) from error

    def require(self, *tasks: str) -> None:
        """Raise ``DataError`` unless the manifest's task is one of `tasks`."""
        if self.manifest.task not in tasks:
            raise DataError(
                f"{self.location} is stored for {self.manifest.task}, this reads "
                f"{' or '.join(tasks)}."
            )

    def split(self, name: str) -> "SplitIndex":
        """Open the split `name`."""
        if name not in self.manifest.splits:
            raise DataError(
                f"{self.location} has no split {name!r}, only: {', '.join(self.manifest.splits)}."
            )
        return SplitIndex(self, name)


class SplitIndex:
    """The sample index of one split, checked against the files that it describes.

    Attributes:
        directory: where its files lie or are fetched to.
        cache: through which they are read, None where they lie in a folder.
    """

    def __init__(self, dataset: Dataset, name: str) -> None:
        self.name, self.split = name, dataset.manifest.splits[name]
        self.directory, self.cache = dataset.directory, dataset.cache
        self._location, self._files = dataset.location.rstrip("/"), dataset.manifest.files
        if self.cache is None:
            for shard in self.split.shards:
                check_shard(dataset.directory, shard)

    def __len__(self) -> int:
        return self.split.samples

    @cached_property
    def samples(self) -> np.ndarray:
        """SAMPLE_DTYPE, shape (samples,), mapped read-only."""
        return self._table(samples_name(self.name), SAMPLE_DTYPE)

    @cached_property
    def masks(self) -> np.ndarray:
        """MASK_DTYPE, shape (samples,), mapped read-only; segmentation only."""
        return self._table(masks_name(self.name), MASK_DTYPE)

    @cached_property
    def targets(self) -> np.ndarray:
        """float32 (samples, targets), mapped read-only; multi-label and regression only."""
        return self._table(targets_name(self.name), np.dtype(np.float32))

    def _table(self, name: str, dtype: np.dtype) -> np.ndarray:
        path = self.file(name)
        try:
            table: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError) as error:
            reason = error.strerror if isinstance(error, OSError) else "damaged or cut off"
            raise DataError(f"{path} can't be read ({reason}): make the shards again.") from error
        if table.dtype != dtype or len(table) != len(self):
            raise DataError(
                f"{path} doesn't belong to the {len(self)} samples that {MANIFEST_NAME} states: "
                f"make the shards again."
            )
        return table

    def file(self, name: str) -> Path:
        """A file of the split other than a tar, such as ``sources_name(split)``; fetched if it
        lies elsewhere."""
        if self.cache is None:
            return self.directory / name
        size = self.cache.remote.size_bytes(name)
        return self.cache.path(Wanted(name, size, self._files[name]))

    def where(self, shard: int) -> str:
        """The path or URL of a tar."""
        return f"{self._location}/{self.split.shards[shard].name}"

    def describe(self, sample: int) -> str:
        """Where `sample` lies, for people: shard and key."""
        row = self.samples[sample]
        return f"sample {sample_key(int(row['key']))} of {self.where(int(row['shard']))}"


def check_shard(directory: Path, shard: Shard) -> None:
    """Raise ``DataError`` if the tar is not there at the size that the manifest states."""
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
