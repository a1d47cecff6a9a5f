"""Look for equal and similar images in finished shards, also of several directories."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from pipeline.text import plural
from tools.checking.check import shard_rows
from tools.checking.source_names import SourceNames
from tools.console import Output
from tools.duplicates.equal_images import equal_groups, pixels_digest
from tools.duplicates.groups import FILE, NEAR, PIXELS, Group, Member, describe_groups
from tools.duplicates.keys import Keys, mixed
from tools.duplicates.near_pairs import near_pairs
from tools.images.decoding import UnsoundImageError, decode, validate_header
from tools.images.guards import StderrCapture
from tools.images.headers import JPEG_START
from tools.images.stored_content import content_crc32, perceptual_hash
from tools.workers import Workers, time_limit
from tools.writing.block_encoding import IMAGE_SECONDS, prepare_worker

_TASK_IMAGES = 1024


@dataclass(frozen=True, kw_only=True)
class HashTask:
    """Samples of a shard: `rows` of its split's index. `near`: whether
    perceptual hashes are computed."""

    path: Path
    rows: NDArray[np.void]
    near: bool


# Checksum of the content, perceptual hash (0 without), and whether an image is damaged.
HASH_DTYPE = np.dtype([("content", "<u4"), ("hash", "<u8"), ("damaged", "?")])


def hash_images(task: HashTask) -> NDArray[np.void]:
    """HASH_DTYPE, one for each sample of a task. Runs in a worker."""
    hashes = np.zeros(len(task.rows), HASH_DTYPE)
    with StderrCapture() as stderr, task.path.open("rb") as file:
        for place, row in enumerate(task.rows):
            data = os.pread(file.fileno(), int(row["size"]), int(row["offset"]))
            try:
                if isal_zlib.crc32(data) != row["crc32"]:
                    raise UnsoundImageError("its crc32 is another one")
                component, pixels = "jpg" if data.startswith(JPEG_START) else "png", None
                if task.near or component == "png":
                    with time_limit(IMAGE_SECONDS):
                        pixels = decode(data, validate_header(data, sys.maxsize), stderr)
                hashes["content"][place] = content_crc32(component, data, pixels)
                if task.near and pixels is not None:
                    hashes["hash"][place] = perceptual_hash(pixels)
            except UnsoundImageError:
                hashes["damaged"][place] = True
    return hashes


def _all_damaged(task: HashTask) -> NDArray[np.void]:
    hashes = np.zeros(len(task.rows), HASH_DTYPE)
    hashes["damaged"] = True
    return hashes


class _Samples:
    """The samples of all splits of several datasets, numbered one after the other."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._datasets = [Dataset(directory) for directory in directories]
        self._names: list[SourceNames] = []
        # Index of the dataset, split.
        self._splits: list[tuple[int, str]] = []
        self._indices = []
        for place, dataset in enumerate(self._datasets):
            self._names.append(SourceNames(dataset.directory, dataset.manifest))
            for name in dataset.manifest.splits:
                self._names[place].open(name)
                self._splits.append((place, name))
                self._indices.append(dataset.split(name).samples)
        self.ends = np.cumsum([len(rows) for rows in self._indices])

    def tasks(self, *, near: bool) -> Iterator[HashTask]:
        for (place, name), rows in zip(self._splits, self._indices, strict=True):
            dataset = self._datasets[place]
            split = dataset.manifest.splits[name]
            for shard, part in zip(split.shards, shard_rows(split), strict=True):
                for first in range(part.start, part.stop, _TASK_IMAGES):
                    some = rows[first : min(first + _TASK_IMAGES, part.stop)]
                    path = dataset.directory / shard.name
                    yield HashTask(path=path, rows=np.array(some), near=near)

    def keys(self, content: NDArray[np.uint32]) -> Keys:
        """Keys of contents of the same size in pixels."""
        sides = [
            np.concatenate([rows[side] for rows in self._indices]) for side in ("height", "width")
        ]
        return mixed(*sides, content)

    def content(self, number: int) -> tuple[int, int]:
        """Size in bytes and CRC-32 of an image."""
        place, row = self._place(number)
        facts = self._indices[place][row]
        return int(facts["size"]), int(facts["crc32"])

    def read(self, number: int) -> bytes:
        """The bytes of an image."""
        place, row = self._place(number)
        dataset, split = self._datasets[self._splits[place][0]], self._splits[place][1]
        facts = self._indices[place][row]
        shard = dataset.manifest.splits[split].shards[int(facts["shard"])]
        with (dataset.directory / shard.name).open("rb") as file:
            return os.pread(file.fileno(), int(facts["size"]), int(facts["offset"]))

    def member(self, number: int) -> Member:
        place, row = self._place(number)
        which, split = self._splits[place]
        dataset, label = self._datasets[which], int(self._indices[place][row]["label"])
        several = len(self._datasets) > 1
        return Member(
            source=self._names[which].find(split, row) or f"row {row:,}",
            split=f"{dataset.directory}/{split}" if several else split,
            label=dataset.manifest.classes[label] if label >= 0 else "",
        )

    def _place(self, number: int) -> tuple[int, int]:
        place = int(np.searchsorted(self.ends, number, side="right"))
        return place, number - int(self.ends[place]) + len(self._indices[place])


def print_duplicates(directories: Sequence[Path], *, near: bool, workers: int, limit: int) -> None:
    """Print each group of equal images in the shards of `directories`, and with `near` each pair of
    similar ones, up to `limit` lines, and what they mean. Raises ``DataError``."""
    output, samples = Output(), _Samples(directories)
    count = int(samples.ends[-1])
    try:
        with Workers(workers, prepare=prepare_worker) as pool:
            parts = []
            with output.progress("comparing", count, unit="images") as advance:
                tasks = samples.tasks(near=near)
                for part in pool.ordered(hash_images, tasks, rescue=_all_damaged):
                    parts.append(part)
                    advance(len(part))
            hashes = np.concatenate(parts)
            groups = _find(samples, hashes, pool, near=near)
    except OSError as error:
        raise DataError(f"{error.filename or directories[0]}: {error.strerror}.") from error
    for group in groups[:limit]:
        places = "; ".join(_describe(member) for member in group.members)
        output.print(f"{group.title}: {places}")
    if len(groups) > limit:
        output.print(f"{plural(len(groups) - limit, 'further line')}: --findings shows more.")
    if damaged := int(hashes["damaged"].sum()):
        output.print(f"{plural(damaged, 'damaged image')} compared with none: run tools/check.")
    for line in describe_groups(groups, "listed above"):
        output.print(line)
    if not groups:
        output.print(f"No duplicates in {plural(count, 'sample')}.")


def _find(samples: _Samples, hashes: NDArray[np.void], pool: Workers, *, near: bool) -> list[Group]:
    def digest(data: bytes) -> bytes:
        # A stored image may kill its decoder.
        (result,) = pool.ordered(pixels_digest, [data], rescue=lambda _: b"")
        return result

    keys = np.where(hashes["damaged"], np.uint64(0), samples.keys(hashes["content"]))
    groups, similar = [], hashes["hash"].copy()
    for numbers in equal_groups(keys, samples.read, digest):
        match = FILE if len(set(map(samples.content, numbers))) == 1 else PIXELS
        groups.append(Group(match, tuple(map(samples.member, numbers))))
        similar[numbers[1:]] = 0
    if near:
        for one, other, distance in near_pairs(similar):
            pair = samples.member(one), samples.member(other)
            groups.append(Group(NEAR, pair, distance))
    return groups


def _describe(member: Member) -> str:
    label = f", {member.label!r}" if member.label else ""
    return f"{member.source} ({member.split}{label})"
