"""Write shards with worker processes of this machine, or with tasks of a Ray cluster.

A shard depends only on the plan and its number, so it may be written anywhere, in any order, and
again.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import chdir, contextmanager, suppress
from functools import cache, partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.child_process import with_module_variables
from pipeline.errors import DataError
from tools.workers import WorkerDiedError, Workers
from tools.writing.block_encoding import encode_block, prepare_worker
from tools.writing.blocks import Block, BlockResult, merge_results, reject_block
from tools.writing.output_folder import Store
from tools.writing.shard_file import ShardRecord, write_shard
from tools.writing.shard_plan import PlannedShard, ShardPlan

# Split, key and reason of rejected sources.
Rejected = Sequence[tuple[str, int, str]]
# Called with the number of sources of a finished block, and those of them that were rejected. An
# exception that it raises ends the run.
BlockDone = Callable[[int, Rejected], None]
DECODER_DIED = "decoding it crashes the process or takes longer than a minute"
# Retries of a shard whose machine or process died; Ray starts them elsewhere.
_RAY_RETRIES = 5


def write_locally(
    shard_plan: ShardPlan,
    shards: Sequence[PlannedShard],
    store: Store,
    workers: Workers,
    on_block: BlockDone,
) -> Iterator[ShardRecord]:
    """Write `shards`; blocks of the next shard are encoded while one is finished."""
    with store.scratch() as folder:
        blocks = (block for shard in shards for block in shard_plan.blocks(shard, folder))
        results = encode_blocks(blocks, workers)
        for shard in shards:
            reported = _report(islice(results, shard_plan.block_count(shard)), shard, on_block)
            target = shard_plan.settings.target
            yield write_shard(shard, reported, target=target, folder=folder, store=store)


def write_on_ray(
    shard_plan: ShardPlan, shards: Sequence[PlannedShard], store: Store, on_block: BlockDone
) -> Iterator[ShardRecord]:
    """Write `shards` as tasks of the cluster that RAY_ADDRESS names, or of a new one on this
    machine. Raises ``DataError`` if Ray is missing or a task fails after its retries."""
    with _connect_to_ray() as ray:
        task = ray.remote(max_retries=_RAY_RETRIES)(_write_one)
        shared = ray.put(shard_plan)
        folder = Path.cwd()
        pending = {task.remote(shared, shard, store, folder): shard for shard in shards}
        while pending:
            (ready,), _ = ray.wait(list(pending))
            shard = pending.pop(ready)
            try:
                record = ray.get(ready)
            except ray.exceptions.RayError as error:
                # The task's own error, or that it died.
                cause = getattr(error, "cause", None)
                if isinstance(cause, DataError | OSError):
                    raise cause from error
                message = f"{shard.name} could not be written on the Ray cluster: {error}"
                raise DataError(message) from error
            rejected = [(shard.split, key, reason) for key, reason in record.rejected]
            on_block(shard.end - shard.first, rejected)
            yield record


def encode_blocks(blocks: Iterable[Block], workers: Workers) -> Iterator[BlockResult]:
    """Encode blocks in `workers`, in order."""
    return workers.ordered(encode_block, blocks, rescue=partial(encode_in_halves, workers=workers))


def encode_in_halves(block: Block, workers: Workers) -> BlockResult:
    """Encode a block during which processes died: halving it, each part in a process of its own,
    isolates the image that kills them. Raises ``DataError`` if every process dies."""
    try:
        return workers.alone(encode_block, block)
    except WorkerDiedError:
        if len(block.images) == 1:
            _require_live_process(workers)
            return reject_block(block, DECODER_DIED)
    return merge_results([encode_in_halves(half, workers) for half in block.halves()])


def _require_live_process(workers: Workers) -> None:
    """The image is the cause only if a process without it survives."""
    try:
        workers.alone(bool, None)
    except WorkerDiedError as error:
        raise DataError(
            "Worker processes die when they start: free some memory, or reinstall the environment."
        ) from error


def _report(
    results: Iterable[BlockResult], shard: PlannedShard, on_block: BlockDone
) -> Iterator[BlockResult]:
    for result in results:
        rejected = [(shard.split, key, reason) for key, reason in result.rejected]
        on_block(len(result.rows) + len(rejected), rejected)
        yield result


def _write_one(
    shard_plan: ShardPlan, shard: PlannedShard, store: Store, folder: Path
) -> ShardRecord:
    """Runs in a Ray task, which decodes in a child process, since that may die. Relative paths
    start at `folder`, which other machines may lack."""
    with suppress(OSError):
        os.chdir(folder)
    (record,) = write_locally(shard_plan, [shard], store, _one_worker(), lambda *block: None)
    return record


@cache
def _one_worker() -> Workers:
    return Workers(1, prepare=prepare_worker)


@contextmanager
def _connect_to_ray() -> Iterator[Any]:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise DataError(
            "--engine ray needs Ray: run `pip install -e '.[ray]'` in the repository."
        ) from error
    with TemporaryDirectory(prefix="shardline-ray-") as empty:
        # Ray's workers import from the folder in which it was started, before all others.
        with chdir(empty), with_module_variables():
            ray.init(log_to_driver=False, ignore_reinit_error=True)
        try:
            yield ray
        finally:
            ray.shutdown()
