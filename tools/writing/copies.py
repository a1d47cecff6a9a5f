"""Equal images among finished shards: found by their rows, and copies taken out of the shards.

What is left out is recorded with the shard, so a run that resumes finds the same groups.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.config import ShardConfig
from tools.download.label_sets import as_sets
from tools.download.storage import Storage
from tools.duplicates.equal_images import equal_groups, pixels_digest
from tools.duplicates.keys import equal_runs, mixed
from tools.writing.output_folder import Store
from tools.writing.shard_file import ShardRecord, read_rows, replace_shard
from tools.writing.shard_plan import ShardPlan
from tools.writing.tar import BLOCK_BYTES, END, padded

# Of copies the first of these splits keeps one. Test is the download's, and stays whole.
_PREFERRED = ("test", "val", "train")
_COPIED_BYTES = 2**24


@dataclass(frozen=True, kw_only=True)
class StoredSample:
    """A sample of a finished shard: `record`, the index of the shard; `number` over all shards;
    `row` of RESULT_DTYPE; the number of its `source`."""

    record: int
    split: str
    number: int
    row: np.void
    source: int

    @property
    def key(self) -> int:
        return int(self.row["key"])


class FinishedShards:
    """The samples of the shards `records`, numbered over all shards.

    Attributes:
        keys: of their contents.
        hashes: their perceptual hashes with ``--near-duplicates``, else none.
    """

    def __init__(
        self,
        shard_plan: ShardPlan,
        records: Sequence[ShardRecord],
        store: Store,
        config: ShardConfig,
    ) -> None:
        self._plan, self._records, self._store = shard_plan, records, store
        self._by_bytes = config.verify == "header"
        self._samples: dict[int, StoredSample] = {}
        self._ends = np.cumsum([record.samples for record in records])
        self.keys = np.empty(self._ends[-1], np.uint64)
        self.hashes = np.zeros(self._ends[-1] if config.near_duplicates else 0, np.uint64)
        names = ("size", "crc32") if self._by_bytes else ("height", "width", "content_crc32")
        for record, end in zip(records, self._ends.tolist(), strict=True):
            rows, part = read_rows(store, record.name), slice(end - record.samples, end)
            self.keys[part] = mixed(*(rows[name] for name in names))
            if config.near_duplicates:
                self.hashes[part] = rows["perceptual_hash"]

    def groups(self) -> list[list[StoredSample]]:
        """The samples of each image that is stored several times."""
        digest = _no_digest if self._by_bytes else pixels_digest
        runs = [*equal_runs(self.keys), np.empty(0, np.int64)]
        self._open(np.concatenate(runs))
        files = Storage(self._store.url)

        def read(number: int) -> bytes:
            sample = self._samples[number]
            first = int(sample.row["offset"])
            name = self._records[sample.record].name
            return files.read(name, first, first + int(sample.row["size"]))

        groups = equal_groups(self.keys, read, digest)
        return [self.samples(group) for group in groups]

    def samples(self, numbers: Sequence[int]) -> list[StoredSample]:
        """The samples of these numbers."""
        self._open(np.array([n for n in numbers if n not in self._samples], np.int64))
        return [self._samples[number] for number in numbers]

    def _open(self, numbers: NDArray[np.int64]) -> None:
        """Read the rows of some samples, shard by shard."""
        places = np.searchsorted(self._ends, numbers, side="right")
        for place in np.unique(places).tolist():
            record = self._records[place]
            rows = read_rows(self._store, record.name)
            some = numbers[places == place]
            inside = some - (int(self._ends[place]) - record.samples)
            sources = self._plan.numbers(record.split, rows["key"][inside]).tolist()
            for number, row, source in zip(some.tolist(), rows[inside], sources, strict=True):
                self._samples[number] = StoredSample(
                    record=place, split=record.split, number=number, row=row, source=source
                )


def _no_digest(data: bytes) -> bytes:
    """For images that nothing has decoded yet: only their bytes are compared."""
    return b""


def copies_to_leave_out(
    group: Sequence[StoredSample], config: ShardConfig, *, is_drawn: bool
) -> tuple[StoredSample, list[StoredSample]]:
    """Of the samples of an image the one that is kept, and those that are left out: all copies but
    those in test with ``--duplicates drop``, those in a drawn val that are also in train by
    default."""
    if config.duplicates == "drop":
        kept = min(group, key=lambda sample: (_PREFERRED.index(sample.split), sample.source))
        others = [sample for sample in group if sample is not kept and sample.split != "test"]
        return kept, others
    in_train = [sample for sample in group if sample.split == "train"]
    if config.duplicates != "one-split" or not is_drawn or not in_train:
        return group[0], []
    kept = min(in_train, key=lambda sample: sample.source)
    return kept, [sample for sample in group if sample.split == "val"]


def leave_out(
    shard_plan: ShardPlan,
    records: Sequence[ShardRecord],
    copies: Mapping[int, Mapping[int, tuple[str, int]]],
    store: Store,
) -> list[ShardRecord]:
    """Take samples out of their shards; returns the new records. `copies`: index of the record ->
    key -> split and key of the equal sample that is kept. Raises ``OSError``."""
    return [
        _without(shard_plan, record, copies[place], store) if place in copies else record
        for place, record in enumerate(records)
    ]


def _without(
    shard_plan: ShardPlan, record: ShardRecord, copies: Mapping[int, tuple[str, int]], store: Store
) -> ShardRecord:
    rows = read_rows(store, record.name)
    is_copy = np.isin(rows["key"], list(copies))
    starts = np.where(rows["target_size"] > 0, rows["target_offset"], rows["offset"]) - BLOCK_BYTES
    ends = rows["offset"] + padded(rows["size"])
    removed = np.cumsum(np.where(is_copy, ends - starts, 0))
    counts = _class_counts(shard_plan, record, rows[is_copy], store)
    kept = rows[~is_copy].copy()
    kept["offset"] -= removed[~is_copy]
    kept["target_offset"] -= np.where(kept["target_size"] > 0, removed[~is_copy], 0)
    with store.scratch() as folder:
        path = folder / record.name
        with Storage(store.url).open(record.name) as tar, path.open("wb") as file:
            for first, end in _spans(starts[~is_copy], ends[~is_copy]):
                tar.seek(first)
                for at in range(first, end, _COPIED_BYTES):
                    file.write(tar.read(min(_COPIED_BYTES, end - at)))
            file.write(END)
        left_out = [(key, *copies[key]) for key in rows["key"][is_copy].tolist()]
        changed = replace(
            record,
            class_counts=tuple((np.array(record.class_counts, np.int64) - counts).tolist()),
            left_out=(*record.left_out, *left_out),
        )
        target = shard_plan.settings.target
        return replace_shard(changed, kept, path, target=target, store=store)


def _spans(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """The bytes from `starts` to `ends`, in as few pieces as possible."""
    is_first = np.append(True, starts[1:] != ends[:-1])[: len(starts)]
    is_last = np.append(is_first[1:], True)[: len(starts)]
    yield from zip(starts[is_first].tolist(), ends[is_last].tolist(), strict=True)


def _class_counts(
    shard_plan: ShardPlan, record: ShardRecord, rows: NDArray[np.void], store: Store
) -> NDArray[np.int64]:
    """The number of `rows` that show each class: int64 (classes,)."""
    sources, classes = shard_plan.sources, shard_plan.settings.classes
    numbers = shard_plan.numbers(record.split, rows["key"])
    shown: NDArray[Any] = np.empty(0, np.int64)
    if sources.masks is not None:
        files = Storage(store.url)
        for row in rows[rows["target_size"] > 0]:
            first = int(row["target_offset"])
            data = files.read(record.name, first, first + int(row["target_size"]))
            mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            shown = np.append(shown, np.unique(np.asarray(mask)))
    elif sources.targets is not None:
        shown = as_sets(sources.targets[numbers]).columns if classes else shown
    else:
        shown = shard_plan.plan.labels[numbers]
    inside = shown[(shown >= 0) & (shown < classes)].astype(np.int64)
    return np.bincount(inside, minlength=classes)


def by_record(
    groups: Sequence[Sequence[StoredSample]], config: ShardConfig, *, is_drawn: bool
) -> dict[int, dict[int, tuple[str, int]]]:
    """The `copies` of ``leave_out``."""
    copies: dict[int, dict[int, tuple[str, int]]] = defaultdict(dict)
    for group in groups:
        kept, others = copies_to_leave_out(group, config, is_drawn=is_drawn)
        for sample in others:
            copies[sample.record][sample.key] = (kept.split, kept.key)
    return dict(copies)
