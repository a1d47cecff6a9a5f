"""The input pipeline up to each of its stages (``config.STAGES``), by the pipeline's own code.

An opener takes a position in the stream of samples and yields the samples of each batch.
"""

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.loader.config import STAGES
from pipeline.batches import BatchContext, decoded_batches, decoded_images, open_feed
from pipeline.build import TrainStream
from pipeline.dali.decode_graph import Stages, decode
from pipeline.loader import Loader
from pipeline.plan.decode_groups import step_slices
from pipeline.plan.plan import Plan, PlannedBatch
from pipeline.watchdog import StallWatchdog

Integers = NDArray[np.int64]
Opener = Callable[[int], Generator[Integers]]


def stage_openers(stream: TrainStream, loader: Loader) -> Mapping[str, Opener]:
    """stage -> opener; all read the same samples."""
    source, plan = stream.context, stream.plan
    crops_only = replace(
        source, graph=replace(source.graph, parameter_names=("start", "shape"), operations=0)
    )
    openers: tuple[Opener, ...] = (
        lambda position: _read(source, plan(position)),
        lambda position: _decode(crops_only, plan(position), decode),
        lambda position: _decode(source, plan(position)),
        lambda position: _hand_over(source, plan(position)),
        lambda position: load(loader, position),
    )
    return dict(zip(STAGES, openers, strict=True))


def load(loader: Loader, position: int) -> Generator[Integers]:
    """The samples of a loader's batches from a position on."""
    loader.load_state_dict(loader.state_dict() | {"position": position})
    for batch in loader:
        yield batch.samples


def _read(source: BatchContext, plan: Plan) -> Generator[Integers]:
    watch = StallWatchdog(source.config.stall_timeout, source.rank)
    with closing(open_feed(source, plan, watch)) as feed:
        for run in itertools.count():
            feed(run)
            yield from _by_step(feed.delivered().planned, source)


def _decode(source: BatchContext, plan: Plan, stages: Stages | None = None) -> Generator[Integers]:
    with closing(decoded_images(source, plan, stages)) as runs:
        for planned, _ in runs:
            yield from _by_step(planned, source)


def _hand_over(source: BatchContext, plan: Plan) -> Generator[Integers]:
    with closing(decoded_batches(source, plan)) as batches:
        for batch in batches:
            yield batch.samples


def _by_step(planned: PlannedBatch, source: BatchContext) -> Iterator[Integers]:
    samples = planned.samples
    return (samples[step] for step in step_slices(len(samples), source.batch_size))
