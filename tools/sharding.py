"""From a download to a shard directory.

    files -> parts -> sources -> plan -> job -> blocks -> workers -> shards -> manifest

What a shard holds is fixed before it is made, and a key is the place of its source in the plan: so
shards may be made in any order, by any number of workers, after any kill, with the same bytes.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import click
import numpy as np

from pipeline.errors import DataError
from pipeline.storage.manifest import Manifest
from tools.config import ShardConfig
from tools.console import Output
from tools.download.class_names import name_classes, read_class_names
from tools.download.collect import FilePart, gather_files
from tools.download.detect import find_parts
from tools.download.file_index import FileIndex, index_files
from tools.download.parts import Part
from tools.download.pixel_table import PixelTable
from tools.download.sources import Sources
from tools.images.encoding import Encoding
from tools.images.encoding_costs import choose, costs_table
from tools.messages import describe_found, describe_plan, describe_result, preview
from tools.pixel_tables.collect import gather_pixels
from tools.workers import Workers
from tools.writing.block_encoding import prepare_worker
from tools.writing.blocks import BlockSettings
from tools.writing.plan import Plan, make_plan
from tools.writing.sampling import SAMPLED_IMAGES, sample_bytes, sample_costs
from tools.writing.shard_plan import ShardPlan, measured_every, plan_shards, spread
from tools.writing.shard_run import ShardRun
from tools.writing.store import Store, is_full

# As a shell reports a command that SIGINT ended.
INTERRUPTED_EXIT_CODE = 130


def make_shards(config: ShardConfig) -> Manifest | None:
    """Do what `config` says, telling what is done; None after a dry run. Raises ``DataError`` or
    ``MisuseError``."""
    output = Output()
    try:
        return _make_shards(config, output)
    except KeyboardInterrupt:
        output.print(f"Interrupted: {_kept(config)}")
        raise click.exceptions.Exit(INTERRUPTED_EXIT_CODE) from None
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        room = " Make room." if is_full(error) else ""
        raise DataError(f"{error.strerror or error}{where}.{room} {_kept(config)}") from error


def _make_shards(config: ShardConfig, output: Output) -> Manifest | None:
    began = time.monotonic()
    store = Store(config.out)
    skip = [] if store.local is None else [store.local]
    index = index_files(
        config.src, images=config.images, follow_links=config.follow_links, skip=skip
    )
    parts = find_parts(index, config)
    output.print(describe_found(parts, index, config))
    with ExitStack() as stack:
        workers = stack.enter_context(Workers(config.processes, prepare=prepare_worker))
        folder = stack.enter_context(_working_folder(store, config))
        sources = _gather(parts, index, config, workers, folder, output)
        plan = make_plan(sources, val=config.val, seed=config.seed)
        output.print(describe_plan(sources, plan, config))
        encoding = _settle_encoding(sources, plan, config, workers, output)
        shard_bytes = config.shard_bytes
        job = make_job(index.identity, sources, plan, encoding, shard_bytes, workers, folder)
        if config.dry_run:
            for line in preview(sources, plan):
                output.print(line)
            return None
        run = ShardRun(job, config, store)
        with output.progress("writing", len(sources), unit="images") as advance:
            manifest = run.write(workers, advance)
    seconds = time.monotonic() - began
    for line in describe_result(manifest, run.stats, out=config.out, seconds=seconds):
        output.print(line)
    return manifest


@contextmanager
def _working_folder(store: Store, config: ShardConfig) -> Iterator[Path]:
    """A folder for what lasts as long as the run; the output is held meanwhile."""
    if config.dry_run:
        with tempfile.TemporaryDirectory(prefix="shardline-") as folder:
            yield Path(folder)
    else:
        with store.lock(), store.scratch() as scratch:
            yield scratch


def _gather(
    parts: Sequence[Part],
    index: FileIndex,
    config: ShardConfig,
    workers: Workers,
    folder: Path,
    output: Output,
) -> Sources:
    if isinstance(parts[0], PixelTable):
        tables = cast(Sequence[PixelTable], parts)
        size_bytes = sum(index.size_bytes(part.table.name) for part in tables)
        with output.progress("reading", size_bytes, unit="MB", scale=10**6) as advance:
            sources = gather_pixels(tables, workers, folder / "pixels.spool", advance)
    else:
        sources = gather_files(cast(Sequence[FilePart], parts), index)
    if config.class_names is None:
        return sources
    return name_classes(sources, read_class_names(index, config.class_names))


def _settle_encoding(
    sources: Sources, plan: Plan, config: ShardConfig, workers: Workers, output: Output
) -> Encoding:
    """Tell what each way of storing costs; what `auto` settles on is told too."""
    numbers = spread(plan.order, SAMPLED_IMAGES)
    costs = sample_costs(sources.images.take(numbers), config.encoding, workers)
    encoding, reason = choose(costs, config.encoding)
    output.table(costs_table(costs))
    if reason:
        output.print(reason)
    return encoding


def make_job(
    identity: str,
    sources: Sources,
    plan: Plan,
    encoding: Encoding,
    shard_bytes: int,
    workers: Workers,
    folder: Path,
) -> ShardPlan:
    """Fix what each shard holds. `folder`: for a sample of the images, encoded to know how large
    they become."""
    training = np.diff(plan.bounds.get("train", (0, 0))).item()
    recipe = BlockSettings(
        task=sources.task,
        classes=len(plan.classes),
        encoding=encoding,
        measured_every=measured_every(training),
        mask_colors=sources.mask_colors,
    )
    job = ShardPlan(identity=identity, sources=sources, plan=plan, settings=recipe, shards=())
    shards = plan_shards(plan.bounds, sample_bytes(job, workers, folder), shard_bytes)
    return replace(job, shards=shards)


def _kept(config: ShardConfig) -> str:
    return f"no dataset was written to {config.out}; the same command goes on from what is there."
