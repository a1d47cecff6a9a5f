"""One run: what an earlier one finished is taken over, the rest is made, all is published."""

import json
from collections.abc import Callable, Iterator, Sequence

from pipeline.errors import DataError, MisuseError
from pipeline.storage.manifest import REJECTED_NAME, Manifest
from tools.config import ShardConfig
from tools.console import ProgressCallback
from tools.text import plural
from tools.workers import Workers
from tools.writing.dataset_stats import DatasetStats
from tools.writing.engines import make_locally, make_on_ray
from tools.writing.publishing import publish, tool_version, write_rejected
from tools.writing.shard_file import ShardRecord, read_record, record_name
from tools.writing.shard_plan import PlannedShard, ShardPlan
from tools.writing.store import PLAN_NAME, Store


class ShardRun:
    """Makes the shards of `shard_plan` in `store`; `stats` counts the samples at the end."""

    def __init__(self, shard_plan: ShardPlan, config: ShardConfig, store: Store) -> None:
        self.stats = DatasetStats()
        self._shard_plan, self._config, self._store = shard_plan, config, store
        self._rejected = list(shard_plan.sources.rejected)

    def write(self, workers: Workers, advance: ProgressCallback) -> Manifest:
        """Make what is missing, and publish. Raises ``DataError`` where too many sources are
        rejected or no sample is left to train on; the list of the rejected is written then too.
        Raises ``MisuseError`` where the store holds half-done work of another kind."""
        finished = self._take_over()
        missing = [shard for shard in self._shard_plan.shards if shard.name not in finished]
        self._refuse_too_many()
        for record in finished.values():
            self._count(_rejected_of(record))
        advance(
            sum(
                shard.end - shard.first for shard in self._shard_plan.shards if shard not in missing
            )
        )

        def done(sources: int, rejected: Sequence[tuple[str, int, str]]) -> None:
            self._count(rejected)
            advance(sources)

        for record in self._make(missing, workers, done):
            finished[record.name] = record
        records = [finished[shard.name] for shard in self._shard_plan.shards]
        return publish(self._shard_plan, self._config, records, self._store, self.stats)

    def _make(
        self,
        shards: Sequence[PlannedShard],
        workers: Workers,
        done: Callable[[int, Sequence[tuple[str, int, str]]], None],
    ) -> Iterator[ShardRecord]:
        if self._config.engine == "ray":
            return make_on_ray(self._shard_plan, shards, self._store, done)
        return make_locally(self._shard_plan, shards, self._store, workers, done)

    def _take_over(self) -> dict[str, ShardRecord]:
        """The records of an earlier run's shards, by name; a new run puts its plan."""
        arguments = json.loads(json.dumps(self._config.shaping))
        plan = {
            "tool": tool_version(),
            "arguments": arguments,
            "fingerprint": self._shard_plan.fingerprint(),
        }
        names = self._store.names()
        if PLAN_NAME not in names:
            with self._store.scratch() as folder:
                path = folder / "plan.json"
                path.write_text(json.dumps(plan))
                self._store.put(path, PLAN_NAME)
            return {}
        _require_same(json.loads(self._store.read(PLAN_NAME)), plan, self._config.out)
        return {
            shard.name: read_record(self._store, shard)
            for shard in self._shard_plan.shards
            if record_name(shard.name) in names
        }

    def _count(self, rejected: Sequence[tuple[str, int, str]]) -> None:
        if rejected:
            self._rejected += [
                (self._shard_plan.name(split, key), reason) for split, key, reason in rejected
            ]
            self._refuse_too_many()

    def _refuse_too_many(self) -> None:
        sources = self._shard_plan.sources
        total = len(sources) + len(sources.rejected)
        if len(self._rejected) <= self._config.max_rejected * total:
            return
        with self._store.scratch() as folder:
            write_rejected(folder / REJECTED_NAME, self._rejected)
            self._store.put(folder / REJECTED_NAME, REJECTED_NAME)
        first = "".join(f"\n  {source}: {reason}" for source, reason in self._rejected[:3])
        raise DataError(
            f"At least {plural(len(self._rejected), 'source')} of {total:,} unusable, more than "
            f"--max-rejected {self._config.max_rejected}: stopped, no dataset was written. The "
            f"list so far is in {self._config.out}/{REJECTED_NAME}; it begins:{first}\nRepair "
            f"them, or go on without them by a higher --max-rejected (1: however many there are)."
        )


def _rejected_of(record: ShardRecord) -> list[tuple[str, int, str]]:
    return [(record.split, key, reason) for key, reason in record.rejected]


def _require_same(before: dict[str, object], now: dict[str, object], out: str) -> None:
    """Raise ``MisuseError`` where half-done work is of other arguments or another download."""
    if before == now:
        return
    old, new = before.get("arguments"), now["arguments"]
    assert isinstance(old, dict)
    assert isinstance(new, dict)
    other = [
        f"--{name.replace('_', '-')} was {old.get(name)!r}, now {new[name]!r}"
        for name in new
        if old.get(name) != new[name]
    ]
    if before["tool"] != now["tool"]:
        other.append(f"it was {before['tool']}, now {now['tool']}")
    what = "; ".join(other) or "the download has changed since"
    raise MisuseError(
        f"--out {out} holds half-done work of another kind ({what}). Finish it as it was begun, "
        f"give another --out, or delete that folder."
    )
