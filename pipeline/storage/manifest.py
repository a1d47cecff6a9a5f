"""The files of a shard directory: manifest, names, dtypes of tables. Writer and readers share them.

A shard directory has, for a split "train" (docs/format.md has the details):

    dataset.json            the manifest, written last: a directory without it is not complete
    train-000000.tar        USTAR, members 000000000.cls, if labeled, and 000000000.jpg (or .png)
    train-000000.idx        DALI's index of that tar
    train.samples.npy       SAMPLE_DTYPE, one row per sample, in the order of the tars
    train.targets.npy       multi-label and regression: float32 (samples, targets)
    train.masks.npy         segmentation: MASK_DTYPE, one row per sample
    train.sources.parquet   key, source, id, group, crc32: the origin of each sample in the download
    test.submission.parquet  the rows of the sample submission, with the key that each asks for;
                            optional
    rejected.csv            source, reason: of each rejected source
    duplicates.csv          group, match, split, label, source: of images that are equal; optional

Other tasks than classification have ``target.npy`` or ``mask.png`` instead of ``cls``. After
appends the tables and the CSVs have other names, see ``Manifest.table_name``.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

FORMAT_VERSION = 3
# Version 2 has no unlabeled samples; docs/format.md lists the other differences.
READABLE_VERSIONS = (2, 3)
MANIFEST_NAME = "dataset.json"
REJECTED_NAME = "rejected.csv"
DUPLICATES_NAME = "duplicates.csv"
IMAGE_COMPONENTS = ("jpg", "png")
SPLITS = ("train", "val", "test")
# In place of the SHA-256 of ``dataset.json`` while it is computed.
NO_SHA256 = "0" * 64

# A mask's value for pixels without a class.
VOID = 255

# Task -> the component that has the target. A mask is an 8-bit gray PNG of class indices or
# VOID, of its image's height and width; target.npy holds float32 (targets,).
TARGET_COMPONENTS = {
    "classification": "cls",
    "multi-label": "target.npy",
    "regression": "target.npy",
    "segmentation": "mask.png",
}

# 36 bytes: a million samples are 36 MB. A key is the sample's number in the planned
# split; keys increase, and the key of a rejected source is missing. Offset and size of the image in
# its tar are in bytes; the label is -1 unless the task is classification; height and width are of
# the upright image in px; crc32 is zlib's. A sample without a label has the label -1, in
# targets.npy a row of NaN, in masks.npy zeros.
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

# The mask is in the image's tar.
MASK_DTYPE = np.dtype([("offset", "<u8"), ("size", "<u4"), ("crc32", "<u4")])


# All are strings; only a group may be null. Version 2 has the first two.
SOURCES_COLUMNS = ("key", "source", "id", "group")
# Eight hex digits: zlib's CRC-32 of what was read of the source. Earlier shards lack the column.
CHECKSUM_COLUMN = "crc32"


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One tar: file name, number of samples, size in bytes, SHA-256 in hex."""

    name: str
    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Split:
    """One split: its shards in order, the number of samples that have a label, and of those that
    show each class."""

    shards: tuple[Shard, ...]
    labeled: int
    class_counts: tuple[int, ...]

    @property
    def samples(self) -> int:
        return sum(shard.samples for shard in self.shards)

    @property
    def unlabeled(self) -> int:
        return self.samples - self.labeled


@dataclass(frozen=True, kw_only=True)
class Addition:
    """What one ``tools/shard --append`` added behind all samples that stood.

    Attributes:
        after: SHA-256 in hex of the ``dataset.json`` that it replaced.
        src: the download, as --src named it.
        tool, arguments: as in ``Manifest.made_by``.
        classes: the number of classes before.
        shards, samples: the numbers that each split got, by its name.
    """

    after: str
    src: str
    tool: str
    arguments: dict[str, Any]
    classes: int
    shards: dict[str, int]
    samples: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The contents of ``dataset.json``.

    Attributes:
        task: a key of TARGET_COMPONENTS.
        classes: names in the order of the labels, of a multi-label target's columns, or of a mask's
            values.
        labels: the label of each class as the download writes it; differs from `classes` if class
            names were given.
        targets: names of a regression target's columns.
        splits: by name.
        files: SHA-256 in hex of all files except tars and ``dataset.json``, by name.
        image_components: those of IMAGE_COMPONENTS that occur.
        mean, std: per RGB channel over the training split's pixels (at least 1,024 images, every
            fourth row of images higher than 64 px), as fractions of 255.
        heights, widths: (minimum, median, maximum) in px over all splits.
        rejected: number of rejected sources.
        made_by: the tool's version, and the arguments that determine the bytes.
        version: of the format, one of READABLE_VERSIONS.
        history: the appends, in their order.
        has_own_sha256: whether ``dataset.json`` states its own SHA-256, as earlier ones don't.
    """

    task: str
    classes: tuple[str, ...]
    labels: tuple[str, ...]
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
    history: tuple[Addition, ...] = ()
    has_own_sha256: bool = True

    @property
    def label_digits(self) -> int:
        """Width of ``KEY.cls``."""
        return label_digits(len(self.classes), self.version)

    @property
    def earlier_fingerprints(self) -> tuple[str, ...]:
        """Those of the dataset before each append."""
        return tuple(addition.after for addition in self.history)

    def table_name(self, name: str) -> str:
        """The file that now is the table `name`, such as ``samples_name(split)``."""
        return table_name(name, len(self.history))

    def to_json(self) -> str:
        """The text of ``dataset.json``."""
        fields = asdict(self)
        del fields["has_own_sha256"]
        if not self.history:
            del fields["history"]
        if self.version == 2:
            del fields["labels"]
            for split in fields["splits"].values():
                del split["labeled"]
        if self.has_own_sha256:
            fields["sha256"] = NO_SHA256
        text = json.dumps(fields, indent=1, ensure_ascii=False) + "\n"
        if not self.has_own_sha256:
            return text
        before, _, after = text.rpartition(NO_SHA256)
        return before + hashlib.sha256(text.encode()).hexdigest() + after


def joined(splits: Iterable[Split]) -> Split:
    """The facts of several splits together."""
    parts = list(splits)
    counts = zip(*(part.class_counts for part in parts), strict=True)
    return Split(
        shards=tuple(shard for part in parts for shard in part.shards),
        labeled=sum(part.labeled for part in parts),
        class_counts=tuple(map(sum, counts)),
    )


def own_sha256(data: bytes, stated: str) -> str:
    """The SHA-256 in hex that the bytes of ``dataset.json`` should state: of them, with zeros in
    place of the `stated` digits."""
    return hashlib.sha256(data.replace(stated.encode(), NO_SHA256.encode())).hexdigest()


def label_digits(classes: int, version: int = FORMAT_VERSION) -> int:
    """Width of ``KEY.cls`` in ASCII digits: at least four from version 3 on, so that classes can be
    added to a dataset."""
    digits = len(str(max(classes - 1, 0)))
    return digits if version == 2 else max(4, digits)


def shard_name(split: str, number: int) -> str:
    return f"{split}-{number:06d}.tar"


def index_name(shard: str) -> str:
    return shard.removesuffix(".tar") + ".idx"


def table_name(name: str, appends: int) -> str:
    """The file that is the table or the CSV `name` after so many appends: after the second
    ``train.samples-2.npy`` is train.samples.npy."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}-{appends}{dot}{suffix}" if appends else name


def samples_name(split: str) -> str:
    return f"{split}.samples.npy"


def targets_name(split: str) -> str:
    return f"{split}.targets.npy"


def masks_name(split: str) -> str:
    return f"{split}.masks.npy"


def sources_name(split: str) -> str:
    return f"{split}.sources.parquet"


def submission_name(split: str) -> str:
    return f"{split}.submission.parquet"


def sample_key(number: int) -> str:
    """A key as text: digits only, because WebDataset ends a key at its first dot."""
    return f"{number:09d}"
