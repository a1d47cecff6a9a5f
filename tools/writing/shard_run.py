"""One run: reuse the shards that an earlier run finished, write the others, publish the dataset."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from pipeline.errors import DataError, MisuseError
from pipeline.progress import ProgressCallback
from pipeline.storage.folder_kinds import UNFINISHED
from pipeline.storage.manifest import (
    IMAGE_COMPONENTS,
    MANIFEST_NAME,
    REJECTED_NAME,
    Manifest,
    index_name,
)
from pipeline.storage.manifest_parsing import parse_manifest
from pipeline.storage.stated_values import any_object, parse_json
from pipeline.text import plural
from tools.config import ShardConfig
from tools.duplicates.groups import Group
from tools.images.codec import ENCODER
from tools.workers import Workers
from tools.writing.block_encoding import source_checksums
from tools.writing.dataset_stats import DatasetStats
from tools.writing.duplicates import settle_duplicates
from tools.writing.engines import BlockDone, Rejected, write_locally, write_on_ray
from tools.writing.output_folder import PLAN_NAME, Store
from tools.writing.publishing import publish, tool_version
from tools.writing.rejected import write_rejected
from tools.writing.shard_file import ShardRecord, read_record, read_rows, record_name
from tools.writing.shard_plan import PlannedShard, ShardPlan

HASHING_THREADS = 4


class ShardRun:
    """Writes the shards of `shard_plan` into `store`; `stats` and `duplicates` have the figures
    afterwards."""

    def __init__(self, shard_plan: ShardPlan, config: ShardConfig, store: Store) -> None:
        self.stats, self.duplicates = DatasetStats(), list[Group]()
        self._plan, self._config, self._store = shard_plan, config, store
        self._rejected = list(shard_plan.sources.rejected)
        self._touched = False

    def finished(self) -> Manifest | None:
        """The manifest of a run of the same plan that was stopped after it had written it; removes
        the files that it left."""
        if MANIFEST_NAME not in self._store.names() or self._plan.base is not None:
            return None
        self._read_finished()
        data = self._store.read(MANIFEST_NAME)
        manifest = parse_manifest(data, origin=f"{self._config.out}/{MANIFEST_NAME}")
        self._store.clean_up(manifest.files)
        return manifest

    def write(self, workers: Workers, advance: ProgressCallback) -> Manifest:
        """Write the missing shards and publish. Raises ``DataError`` if too many sources are
        rejected or no training sample is left, after writing rejected.csv, and ``MisuseError`` if
        the store holds an unfinished run with other arguments."""
        finished = self._without_changed(self._read_finished(), workers)
        missing = [shard for shard in self._plan.shards if shard.name not in finished]
        self._limit_rejected()
        for record in finished.values():
            self._add_rejected([(record.split, key, why) for key, why in record.rejected])
        self._require_components(finished.values())
        reused = (shard for shard in self._plan.shards if shard.name in finished)
        advance(sum(shard.end - shard.first for shard in reused))

        def on_block(sources: int, rejected: Rejected) -> None:
            self._add_rejected(rejected)
            advance(sources)

        for record in self._write(missing, workers, on_block):
            finished[record.name] = record
            self._require_components([record])
        records = [finished[shard.name] for shard in self._plan.shards]
        settled = settle_duplicates(self._plan, self._config, records, self._store)
        self.duplicates = settled.groups
        return publish(
            self._plan, self._config, settled.records, self._store, self.stats, settled.groups
        )

    def _write(
        self, shards: Sequence[PlannedShard], workers: Workers, on_block: BlockDone
    ) -> Iterator[ShardRecord]:
        if self._config.engine == "ray":
            return write_on_ray(self._plan, shards, self._store, on_block)
        return write_locally(self._plan, shards, self._store, workers, on_block)

    def _read_finished(self) -> dict[str, ShardRecord]:
        """The records of an earlier run's shards that are still as it wrote them, by name; a new
        run stores its plan."""
        arguments = json.loads(json.dumps(self._config.shaping))
        fingerprint = self._plan.fingerprint()
        plan = {
            "tool": tool_version(),
            "encoder": ENCODER,
            "arguments": arguments,
            "fingerprint": fingerprint,
        }
        if self._plan.base is not None:
            plan["after"] = self._plan.base.fingerprint
        versions = {"versions": self._plan.versions}
        names = self._store.names()
        if (before := read_plan(self._store)) is None:
            # Records without a plan may be of another run.
            for name in names:
                if name.startswith(f"{UNFINISHED}/") and name.endswith(".tar.json"):
                    self._store.remove(name)
            with self._store.scratch() as folder:
                self._store.write(json.dumps(plan | versions).encode(), PLAN_NAME, folder)
            return {}
        self._touched = before.pop("versions", "") != self._plan.versions
        _require_same_plan(before, plan, self._config.out)
        shards = [shard for shard in self._plan.shards if record_name(shard.name) in names]
        with ThreadPoolExecutor(HASHING_THREADS) as threads:
            records = threads.map(lambda shard: read_record(self._store, shard), shards)
            return {record.name: record for record in records if record is not None}

    def _without_changed(
        self, records: dict[str, ShardRecord], workers: Workers
    ) -> dict[str, ShardRecord]:
        """The records without those of shards whose sources have other contents now, as far as
        files were touched since; these shards are made again."""
        if not self._touched or self._config.trust_size:
            return records
        kept, died = {}, np.empty(0, np.uint32)
        shards = [shard for shard in self._plan.shards if shard.name in records]
        with self._store.scratch() as folder:
            for shard in shards:
                blocks = self._plan.blocks(shard, folder)
                sums = workers.ordered(source_checksums, blocks, rescue=lambda _: died)
                now = np.concatenate([*sums, died])
                before = read_rows(self._store, shard.name)["source_crc32"]
                # A rejected source may have been repaired.
                if not records[shard.name].rejected and np.array_equal(now, before):
                    kept[shard.name] = records[shard.name]
                else:
                    self._store.remove(record_name(shard.name))
        return kept

    def _require_components(self, records: Iterable[ShardRecord]) -> None:
        """Raise ``MisuseError``, and give up the append, if its images are of another component
        than those that stand: readers of tars expect the same in all."""
        if self._plan.base is None:
            return
        stored = self._plan.base.manifest.image_components
        for record in records:
            numbers = np.unique(read_rows(self._store, record.name)["component"]).tolist()
            other = {IMAGE_COMPONENTS[number] for number in numbers} - set(stored)
            if other:
                for shard in self._plan.shards:
                    for name in self._store.names() & {shard.name, index_name(shard.name)}:
                        self._store.remove(name)
                self._store.clean_up(self._plan.base.manifest.files)
                mode = {"jpg": "jpeg", "png": "png"}[stored[0]]
                raise MisuseError(
                    f"{self._config.out} has only {stored[0]} images, but some of "
                    f"{self._config.src} would be stored as {other.pop()}: pass --encode {mode}, "
                    f"or another --out. Nothing was added."
                )

    def _add_rejected(self, rejected: Rejected) -> None:
        if rejected:
            self._rejected += [(self._plan.name(split, key), why) for split, key, why in rejected]
            self._limit_rejected()

    def _limit_rejected(self) -> None:
        total = len(self._plan.plan.order) + len(self._plan.sources.rejected)
        if len(self._rejected) <= self._config.max_rejected * total:
            return
        name = self._plan.table_name(REJECTED_NAME)
        with self._store.scratch() as folder:
            write_rejected(folder / name, self._rejected)
            self._store.put(folder / name, name)
        first = "".join(f"\n  {source}: {reason}" for source, reason in self._rejected[:3])
        none = "No dataset was written" if self._plan.base is None else "Nothing was added"
        raise DataError(
            f"At least {len(self._rejected):,} of {plural(total, 'source')} are unusable, more "
            f"than --max-rejected {self._config.max_rejected} allows. {none}. "
            f"{self._config.out}/{name} lists them; the first are:{first}\nRepair them, "
            f"or skip them with a higher --max-rejected (1 allows any number)."
        )


def read_plan(store: Store) -> dict[str, Any] | None:
    """The plan of an unfinished run; None without one, or if it is damaged."""
    if PLAN_NAME not in store.names():
        return None
    try:
        plan = any_object(parse_json(store.read(PLAN_NAME).decode()))
        any_object(plan["arguments"])
    except (ValueError, LookupError):
        return None
    return plan


def _require_same_plan(before: dict[str, Any], now: dict[str, Any], out: str) -> None:
    """Raise ``MisuseError`` if an unfinished run has other arguments or another download."""
    if before == now:
        return
    old, new = before["arguments"], now["arguments"]
    differences = [
        f"--{name.replace('_', '-')} was {old.get(name)!r}, now {new[name]!r}"
        for name in new
        if old.get(name) != new[name]
    ]
    if before.get("tool") != now["tool"]:
        differences.append(f"it was {before.get('tool')}, now {now['tool']}")
    if before.get("encoder") != now["encoder"]:
        differences.append("a version that encodes images otherwise began it")
    if ("after" in before) != ("after" in now):
        differences.append("it had --append" if "after" in before else "it had no --append")
    what = "; ".join(differences) or "the download has changed since"
    folder = f"{out}/{UNFINISHED}" if "after" in before else "that folder"
    raise MisuseError(
        f"--out {out} holds an unfinished run with other arguments ({what}). Finish it with its "
        f"arguments, give another --out, or delete {folder}."
    )
