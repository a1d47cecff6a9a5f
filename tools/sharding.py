"""From a download to a shard directory.

    files -> parts -> sources -> plan -> blocks -> workers -> shards -> manifest

Blocks are encoded in any order and consumed in the plan's, and keys are given to accepted samples
as they come, so the bytes don't depend on the number of workers.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click

from pipeline.dataset import Manifest
from pipeline.errors import DataError
from tools.blocks import prepare_worker
from tools.class_names import name_classes, read_class_names
from tools.config import ShardConfig
from tools.directory import OutputDirectory
from tools.files import FileIndex, index_files
from tools.gathering import FilePart, gather_files
from tools.kaggle import find_parts
from tools.layouts import Part, PixelTable
from tools.narration import Narrator, describe_found, describe_plan, describe_result
from tools.pixels import gather_pixels
from tools.plan import make_plan
from tools.preview import preview
from tools.run import Run
from tools.sources import Sources
from tools.workers import Workers

SPOOL_NAME = "pixels.spool"
# As a shell reports a command that SIGINT ended.
INTERRUPTED_EXIT_CODE = 130


def make_shards(config: ShardConfig) -> Manifest | None:
    """Do what `config` says, telling what is done; None of a dry run. Raises ``DataError`` or
    ``MisuseError``."""
    narrator = Narrator()
    try:
        return _make_shards(config, narrator)
    except KeyboardInterrupt:
        narrator.say(f"Interrupted: no dataset was written to {config.out}.")
        raise click.exceptions.Exit(INTERRUPTED_EXIT_CODE) from None
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise DataError(
            f"{error.strerror or error}{where}: no dataset was written to {config.out}."
        ) from error


def _make_shards(config: ShardConfig, narrator: Narrator) -> Manifest | None:
    began = time.monotonic()
    directory = OutputDirectory(Path(config.out))
    index = index_files(
        config.src, images=config.images, follow_links=config.follow_links, skip=[Path(config.out)]
    )
    parts = find_parts(index, config)
    narrator.say(describe_found(parts, index))
    workers = Workers(config.processes, prepare=prepare_worker)
    if config.dry_run:
        with workers:
            sources = _gather(parts, index, config, workers, Path(os.devnull), narrator)
        plan = make_plan(sources, val=config.val, seed=config.seed)
        narrator.say(describe_plan(sources, plan, config))
        for line in preview(sources, plan):
            narrator.say(line)
        return None
    spool = directory.building / SPOOL_NAME
    with directory, workers:
        sources = _gather(parts, index, config, workers, spool, narrator)
        plan = make_plan(sources, val=config.val, seed=config.seed)
        narrator.say(describe_plan(sources, plan, config))
        run = Run(config, sources, plan, directory)
        with narrator.progress("writing", len(sources), unit="images") as advance:
            manifest = run.write(workers, advance)
        spool.unlink(missing_ok=True)
        directory.publish(manifest)
    seconds = time.monotonic() - began
    for line in describe_result(manifest, run.tally, out=Path(config.out), seconds=seconds):
        narrator.say(line)
    return manifest


def _gather(
    parts: Sequence[Part],
    index: FileIndex,
    config: ShardConfig,
    workers: Workers,
    spool: Path,
    narrator: Narrator,
) -> Sources:
    if isinstance(parts[0], PixelTable):
        tables = cast(Sequence[PixelTable], parts)
        size_bytes = sum(index.size_bytes(part.table.name) for part in tables)
        with narrator.progress("reading", size_bytes, unit="MB", scale=10**6) as advance:
            sources = gather_pixels(tables, workers, spool, advance)
    else:
        sources = gather_files(cast(Sequence[FilePart], parts), index)
    if config.class_names is None:
        return sources
    return name_classes(sources, read_class_names(index, config.class_names))
