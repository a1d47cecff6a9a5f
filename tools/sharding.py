"""From a download to a shard directory.

    files -> parts -> sources -> plan -> encoding -> shard plan -> shards -> manifest

The contents of a shard are fixed before any is written, and the key of a sample is the index of its
source in the plan. So workers may write the shards in any order, and a run may resume after any
kill, with the same bytes.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from pipeline.errors import DataError
from pipeline.interrupts import INTERRUPTED_EXIT_CODE
from pipeline.storage.dataset import Dataset
from pipeline.storage.file_systems import is_full
from pipeline.storage.manifest import DUPLICATES_NAME, Manifest
from tools.appending.prepare import prepare_append, without_submissions
from tools.appending.stored import new_sources
from tools.base import open_base
from tools.collecting import collect_sources, file_hashes
from tools.config import ShardConfig
from tools.console import Output
from tools.download.file_index import FileIndex, index_files
from tools.download.sources import Sources
from tools.download.submission_rows import SubmissionRows
from tools.duplicates.groups import describe_groups
from tools.images.encoding import Encoding
from tools.images.encoding_costs import choose, costs_table
from tools.like import Like, open_like
from tools.messages import (
    describe_evidence,
    describe_index,
    describe_parts,
    describe_plan,
    describe_result,
    preview,
)
from tools.readings.asked_rows import match_tests
from tools.readings.detect import Detection, detect
from tools.readings.name_groups import frames_note
from tools.workers import Workers, default_workers
from tools.writing.block_encoding import prepare_worker
from tools.writing.blocks import BlockSettings
from tools.writing.duplicates import compare_files
from tools.writing.output_folder import Store
from tools.writing.plan import Plan, make_plan
from tools.writing.sampling import (
    RANGE_IMAGES,
    SAMPLED_IMAGES,
    sample_bytes,
    sample_costs,
    sample_range,
)
from tools.writing.shard_plan import ShardPlan, measured_every, plan_shards, spread
from tools.writing.shard_run import ShardRun
from tools.writing.splits import TEST


def make_shards(config: ShardConfig) -> Manifest | None:
    """Make the shards of a download and print each step; None after a dry run.

    Raises ``DataError`` or ``MisuseError``, and ``click.exceptions.Exit`` after Ctrl-C.
    """
    output = Output()
    kept = (
        f"{config.out} is as it was" if config.append else f"No dataset was written to {config.out}"
    )
    kept += ". The same command resumes from the finished shards."
    try:
        return _make_shards(config, output)
    except KeyboardInterrupt:
        output.print(f"Interrupted. {kept}")
        raise click.exceptions.Exit(INTERRUPTED_EXIT_CODE) from None
    except OSError as error:
        path, reason = error.filename or config.out, error.strerror or error
        advice = " Free space on that disk." if is_full(error) else ""
        raise DataError(f"{path}: {reason}.{advice} {kept}") from error


def _make_shards(config: ShardConfig, output: Output) -> Manifest | None:
    began = time.monotonic()
    store = Store(config.out)
    base = open_base(config)
    if (like := open_like(config) or base) is not None:
        config = like.settings(config)
    skip = [] if store.local is None else [store.local]
    index = index_files(
        config.src,
        images=config.images,
        follow_links=config.follow_links,
        skip=skip,
        zip_encoding=config.zip_encoding,
        trust_size=config.trust_size,
    )
    for sentence in describe_index(index):
        output.print(sentence)
    has_labels = config.like is None
    detection = detect(index, config) if has_labels else Detection(parts=())
    if has_labels:
        output.print(describe_parts(detection, index, config))
        for line in describe_evidence(detection, config):
            output.print(line)
    with (
        Workers(
            config.workers or default_workers(),
            prepare=prepare_worker,
            say=output.print,
            timeout_seconds=config.worker_timeout,
        ) as workers,
        _working_folder(store, config) as folder,
    ):
        if base is not None and not config.dry_run:
            prepare_append(base, config, store, output)
        shard_plan = _plan_shards(detection, like, index, config, workers, folder, output)
        if shard_plan is None:
            output.print(f"Nothing to add: {config.out} is as it was.")
            return None
        if config.dry_run:
            for line in preview(shard_plan.sources, shard_plan.plan):
                output.print(line)
            return None
        run = ShardRun(shard_plan, config, store)
        if (manifest := run.finished()) is not None:
            output.print(f"{config.out} was complete: removed what the earlier run had left there.")
            return manifest
        with output.progress("writing", len(shard_plan.plan.order), unit="images") as advance:
            manifest = run.write(workers, advance)
    seconds = time.monotonic() - began
    listed = f"see {config.out}/{shard_plan.table_name(DUPLICATES_NAME)}"
    for line in describe_groups(run.duplicates, listed, config.verify):
        output.print(line)
    if config.append and config.duplicates != "ignore":
        output.print(
            f"New images were compared with each other, not with those that stood: "
            f"tools/check {config.out} --duplicates compares all."
        )
    for line in describe_result(manifest, run.stats, out=config.out, seconds=seconds):
        output.print(line)
    return manifest


@contextmanager
def _working_folder(store: Store, config: ShardConfig) -> Iterator[Path]:
    """A folder that exists as long as the run; without --dry-run the output is locked meanwhile."""
    if config.dry_run:
        with tempfile.TemporaryDirectory(prefix="shardline-") as folder:
            yield Path(folder)
    else:
        with store.lock(appends=config.append), store.scratch() as scratch:
            yield scratch


def _plan_shards(
    detection: Detection,
    like: Like | None,
    index: FileIndex,
    config: ShardConfig,
    workers: Workers,
    folder: Path,
    output: Output,
) -> ShardPlan | None:
    """Collect the sources and fix the shards; print the splits and the encoding. None if an append
    has no new sources."""
    standing = None
    if like is not None and config.like is not None:
        sources = like.sources(index)
    else:
        sources = collect_sources(detection, index, config, workers, folder, output)
    if config.append:
        dataset = Dataset(config.out)
        sources, standing = new_sources(sources, dataset, config, workers, folder, output)
        detection = without_submissions(detection, output)
        if not len(sources):
            return None
    plan = make_plan(
        sources,
        val=config.val,
        seed=config.seed,
        test=config.test,
        unlabeled=config.unlabeled,
        standing=standing,
        equal=compare_files(sources, config, workers, output, standing),
    )
    if config.append and not len(plan.order):
        return None
    in_test = plan.choice.splits == TEST
    sources, submission = match_tests(detection, index, sources, in_test, config)
    output.print(describe_plan(sources, plan, config))
    if plan.choice.is_drawn and (note := frames_note(sources)):
        output.print(note)
    encoding = like.encoding(config.encoding) if like else None
    identity, versions = file_hashes(index, detection, config)
    return make_shard_plan(
        identity,
        sources,
        plan,
        encoding or _choose_encoding(sources, plan, config, workers, output),
        int(config.shard_size * 2**20),
        workers,
        folder,
        submission,
        like,
        versions,
        perceptual=config.near_duplicates,
    )


def _choose_encoding(
    sources: Sources, plan: Plan, config: ShardConfig, workers: Workers, output: Output
) -> Encoding:
    """Print the costs of each encoding and the choice of --encode auto."""
    encoding = config.encoding
    some = sources.images.take(spread(plan.order, RANGE_IMAGES))
    if (pixel_range := sample_range(some, encoding, workers)) is not None:
        encoding = replace(encoding, pixel_range=pixel_range)
        output.print(f"Some images have 16-bit pixels. {pixel_range.text}")
    numbers = spread(plan.order, SAMPLED_IMAGES)
    costs = sample_costs(sources.images.take(numbers), encoding, workers)
    encoding, reason = choose(costs, encoding)
    output.table(costs_table(costs))
    if reason:
        output.print(reason)
    return encoding


def make_shard_plan(
    identity: str,
    sources: Sources,
    plan: Plan,
    encoding: Encoding,
    shard_bytes: int,
    workers: Workers,
    folder: Path,
    submission: SubmissionRows | None = None,
    like: Like | None = None,
    versions: str = "",
    *,
    perceptual: bool = False,
) -> ShardPlan:
    """Fix the contents of each shard, about `shard_bytes` large. A few images are encoded in
    `folder` to estimate the size of a sample."""
    training = np.diff(plan.bounds.get("train", (0, 0))).item()
    settings = BlockSettings(
        task=sources.task,
        classes=len(plan.classes),
        encoding=encoding,
        measured_every=measured_every(training),
        mask_colors=sources.mask_colors,
        perceptual=perceptual,
    )
    draft = ShardPlan(
        identity=identity,
        sources=sources,
        plan=plan,
        settings=settings,
        shards=(),
        submission=submission,
        like=like,
        versions=versions,
    )
    mean_bytes = sample_bytes(draft, workers, folder)
    shards = plan_shards(plan.bounds, mean_bytes, shard_bytes, draft.base)
    return replace(draft, shards=shards)
