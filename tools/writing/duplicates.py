"""Duplicates in a run: files are compared before the plan, copies are left out of the shards, and
all groups are listed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.storage.manifest import SPLITS
from tools.config import ShardConfig
from tools.console import Output
from tools.download.label_sets import as_table
from tools.download.sources import Sources
from tools.duplicates.equal_files import EqualFiles, first_of_equals
from tools.duplicates.groups import FILE, NEAR, PIXELS, Group, Member
from tools.duplicates.near_pairs import near_pairs
from tools.workers import Workers
from tools.writing.copies import FinishedShards, StoredSample, by_record, leave_out
from tools.writing.output_folder import Store
from tools.writing.shard_file import ShardRecord
from tools.writing.shard_plan import ShardPlan
from tools.writing.splits import LEFT_OUT, Standing, draws_validation

_Pair = tuple[int, int]
# As ``by_record`` returns them.
_Copies = Mapping[int, Mapping[int, tuple[str, int]]]


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The shards without the copies that are left out, and the groups of duplicates."""

    records: list[ShardRecord]
    groups: list[Group]


def compare_files(
    sources: Sources,
    config: ShardConfig,
    workers: Workers,
    output: Output,
    standing: Standing | None = None,
) -> EqualFiles | None:
    """Which sources have equal files; None if none have, or where that changes no split."""
    drop = config.duplicates == "drop"
    is_drawn = draws_validation(sources, val=config.val, test=config.test, standing=standing)
    if config.like or config.duplicates in ("keep", "ignore") or not (drop or is_drawn):
        return None
    with output.progress("comparing", len(sources), unit="images") as advance:
        first = first_of_equals(sources.images, workers, advance)
    has_copies = bool(np.any(first != np.arange(len(first))))
    return EqualFiles(first=first, drop=drop) if has_copies else None


def settle_duplicates(
    shard_plan: ShardPlan, config: ShardConfig, records: Sequence[ShardRecord], store: Store
) -> Settled:
    """Find the duplicates in finished shards, leave out copies as ``--duplicates`` says, and list
    the groups; the same whether or not an earlier run left out some of them. Raises ``OSError``."""
    if config.duplicates == "ignore":
        return Settled(records=list(records), groups=[])
    shards = FinishedShards(shard_plan, records, store, config)
    groups = shards.groups()
    copies = by_record(groups, config, is_drawn=shard_plan.plan.choice.is_drawn)
    # Numbers are those of the shards before copies are left out.
    near = _near_sources(shards, groups, copies) if config.near_duplicates else []
    kept = leave_out(shard_plan, records, copies, store)
    listing = _Listing(shard_plan, kept)
    for group in groups:
        listing.add(_stored(group, copies))
    listed = listing.groups()
    listed += [
        Group(NEAR, (listing.member(one), listing.member(other)), distance)
        for one, other, distance in near
    ]
    return Settled(records=kept, groups=listed)


def _stored(group: Sequence[StoredSample], copies: _Copies) -> list[StoredSample]:
    """The samples of a group that are not left out."""
    return [one for one in group if one.key not in copies.get(one.record, ())]


def _near_sources(
    shards: FinishedShards, groups: Sequence[Sequence[StoredSample]], copies: _Copies
) -> list[tuple[int, int, int]]:
    """Two sources and the distance of their hashes in bits, for each pair of similar images."""
    hashes = shards.hashes.copy()
    for group in groups:
        # One of several equal images stands for all.
        hashes[[one.number for one in group]] = 0
        first = min(_stored(group, copies), key=lambda one: one.source)
        hashes[first.number] = shards.hashes[first.number]
    pairs = near_pairs(hashes)
    sources = [one.source for one in shards.samples([n for pair in pairs for n in pair[:2]])]
    ends = zip(sources[::2], sources[1::2], (pair[2] for pair in pairs), strict=True)
    return sorted((min(one, other), max(one, other), bits) for one, other, bits in ends)


class _Listing:
    """Joins equal sources to groups: those whose stored images are equal, those that were left out
    of the shards, and those that were left out of the plan."""

    def __init__(self, shard_plan: ShardPlan, records: Sequence[ShardRecord]) -> None:
        self._plan = shard_plan
        self._pairs, self._left_out = list[_Pair](), set[int]()
        self._files: dict[int, tuple[int, int]] = {}
        rejected = set[int]()
        for record in records:
            rejected.update(self._numbers(record.split, [key for key, _ in record.rejected]))
            copies = self._numbers(record.split, [key for key, *_ in record.left_out])
            self._left_out.update(copies)
            for copy, (_, split, key) in zip(copies, record.left_out, strict=True):
                self._pairs.append((copy, self._numbers(split, [key])[0]))
        self._pairs += self._dropped(rejected)

    def add(self, samples: Sequence[StoredSample]) -> None:
        """Add equal samples that are stored."""
        for sample in samples:
            self._pairs.append((samples[0].source, sample.source))
            content = int(sample.row["source_bytes"]), int(sample.row["source_crc32"])
            self._files[sample.source] = content

    def groups(self) -> list[Group]:
        """All groups, by their first source."""
        return [
            Group(self._match(numbers), tuple(map(self.member, numbers)))
            for numbers in _components(self._pairs)
            if len(numbers) > 1
        ]

    def member(self, number: int) -> Member:
        """A source with its split and label."""
        split = int(self._plan.plan.choice.splits[number])
        is_stored = number not in self._left_out and split != LEFT_OUT
        return Member(
            source=self._plan.sources.names[number],
            split=SPLITS[split] if is_stored else "",
            label=label_text(self._plan, number),
        )

    def _numbers(self, split: str, keys: Sequence[int]) -> list[int]:
        if not keys:
            return []
        return list(map(int, self._plan.numbers(split, np.array(keys, np.int64))))

    def _dropped(self, rejected: set[int]) -> list[_Pair]:
        """Each source that was left out of the plan, and a stored one with an equal file."""
        plan, has_label = self._plan.plan, self._plan.sources.has_label
        if plan.equal is None or not plan.equal.drop:
            return []
        first, splits = plan.equal.first, plan.choice.splits
        out = np.flatnonzero((splits == LEFT_OUT) & has_label)
        others = np.flatnonzero((splits != LEFT_OUT) & np.isin(first, first[out]))
        kept = {int(first[n]): n for n in others.tolist()[::-1] if n not in rejected}
        return [(n, kept[code]) for n in out.tolist() if (code := int(first[n])) in kept]

    def _match(self, numbers: Sequence[int]) -> str:
        contents = {self._files[number] for number in numbers if number in self._files}
        same = len(contents) < 2 and self._left_out.isdisjoint(numbers)
        return FILE if same else PIXELS


def _components(pairs: Iterable[_Pair]) -> list[list[int]]:
    """Numbers that pairs join, ascending, in the order of the first of each."""
    neighbors = defaultdict[int, list[int]](list)
    for one, other in pairs:
        neighbors[one].append(other)
        neighbors[other].append(one)
    seen, components = set[int](), []
    for number in sorted(neighbors):
        if number in seen:
            continue
        seen.add(number)
        reached = [number]
        for place in reached:
            fresh = [other for other in neighbors[place] if other not in seen]
            seen.update(fresh)
            reached += dict.fromkeys(fresh)
        components.append(sorted(reached))
    return components


def label_text(shard_plan: ShardPlan, number: int) -> str:
    """The label of a source: a class, several with "|" between them, or numbers; "" for a mask and
    for a source without a label."""
    sources, plan = shard_plan.sources, shard_plan.plan
    if not sources.has_label[number] or sources.masks is not None:
        return ""
    if sources.targets is None:
        return plan.classes[int(plan.labels[number])]
    row = as_table(sources.targets[np.array([number])])[0].tolist()
    if sources.task == "regression":
        return " ".join(f"{value:g}" for value in row)
    return "|".join(name for name, value in zip(plan.classes, row, strict=True) if value)
