"""Who makes the shards: processes of this machine, or the tasks of a Ray cluster.

Both do the same: a shard depends only on the plan and its number, so it may be made
anywhere, in any order, and again.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from itertools import islice
from typing import Any, Protocol

from pipeline.errors import DataError
from tools.workers import WorkerDiedError, Workers
from tools.writing.block_encoding import encode_block, prepare_worker
from tools.writing.blocks import Block, BlockResult, merge, nothing
from tools.writing.shard_file import ShardRecord, write_shard
from tools.writing.shard_plan import PlannedShard, ShardPlan
from tools.writing.store import Store

DEADLY = "decoding it kills the process, or takes longer than a minute"
# Of a shard that dies with its machine or process; Ray makes it again elsewhere.
_RAY_RETRIES = 5


class Done(Protocol):
    """Called with how many sources are done more, and those of them that were rejected: split,
    key, reason. What it raises ends the run."""

    def __call__(self, sources: int, rejected: Sequence[tuple[str, int, str]], /) -> None: ...


def make_locally(
    shard_plan: ShardPlan,
    shards: Sequence[PlannedShard],
    store: Store,
    workers: Workers,
    done: Done,
) -> Iterator[ShardRecord]:
    """Make `shards`; blocks of the next are encoded while one is being finished."""
    with store.scratch() as folder:
        blocks = (block for shard in shards for block in shard_plan.blocks(shard, folder))
        results = workers.ordered(encode_block, blocks, rescue=lambda block: rescue(block, workers))
        for shard in shards:
            own = islice(results, shard_plan.block_count(shard))
            yield write_shard(
                shard,
                _told(own, shard, done),
                target=shard_plan.settings.target,
                folder=folder,
                store=store,
            )


def make_on_ray(
    shard_plan: ShardPlan, shards: Sequence[PlannedShard], store: Store, done: Done
) -> Iterator[ShardRecord]:
    """Make `shards` as tasks of the cluster that RAY_ADDRESS names, or of one on this machine.

    Raises ``DataError`` where Ray is missing or a task fails for good.
    """
    with _ray() as ray:
        task = ray.remote(max_retries=_RAY_RETRIES)(_make_one)
        shared = ray.put(shard_plan)
        waiting = {task.remote(shared, shard, store): shard for shard in shards}
        while waiting:
            (ready,), _ = ray.wait(list(waiting))
            shard = waiting.pop(ready)
            try:
                record = ray.get(ready)
            except ray.exceptions.RayError as error:
                raise _cause(error, shard) from error
            done(shard.end - shard.first, [(shard.split, *each) for each in record.rejected])
            yield record


def rescue(block: Block, workers: Workers) -> BlockResult:
    """The result of a block during which processes died: the image that kills is found by halving,
    each part in a process of its own. Raises ``DataError`` where any process dies."""
    try:
        return workers.alone(encode_block, block)
    except WorkerDiedError:
        if len(block.images) == 1:
            _prove_alive(workers)
            return nothing(block, DEADLY)
    return merge([rescue(half, workers) for half in block.halves()])


def _prove_alive(workers: Workers) -> None:
    """An image is to blame only if a process lives without it."""
    try:
        workers.alone(bool, None)
    except WorkerDiedError as error:
        raise DataError(
            "Worker processes end before they begin: is memory short, or the environment broken?"
        ) from error


def _told(results: Iterable[BlockResult], shard: PlannedShard, done: Done) -> Iterator[BlockResult]:
    for result in results:
        rejected = [(shard.split, key, reason) for key, reason in result.rejected]
        done(len(result.rows) + len(rejected), rejected)
        yield result


def _make_one(shard_plan: ShardPlan, shard: PlannedShard, store: Store) -> ShardRecord:
    """Runs in a Ray task; decodes in a child of it, which may die."""
    (record,) = make_locally(
        shard_plan, [shard], store, _one_worker(), lambda sources, rejected: None
    )
    return record


@cache
def _one_worker() -> Workers:
    return Workers(1, prepare=prepare_worker)


def _ray() -> AbstractContextManager[Any]:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise DataError(
            "--engine ray needs Ray: run `pip install -e '.[ray]'` in the repository."
        ) from error
    return _Ray(ray)


class _Ray:
    """A connection to a cluster."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def __enter__(self) -> Any:
        self._ray.init(log_to_driver=False, ignore_reinit_error=True)
        return self._ray

    def __exit__(self, *error: object) -> None:
        self._ray.shutdown()


def _cause(error: Exception, shard: PlannedShard) -> Exception:
    """The sentence that a task ended with, or that it died."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, DataError | OSError):
        return cause
    return DataError(f"{shard.name} could not be made on the Ray cluster: {error}")
