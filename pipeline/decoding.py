"""Plans run through DALI: batches on the device.

plan (samples, parameters) -> feed (bytes) -> graph (DALI) -> Batch
"""

import itertools
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.dlpack import from_dlpack

from pipeline.augment import GEOMETRY, train_parameter_names
from pipeline.bad_samples import BadSamples
from pipeline.config import PipelineConfig
from pipeline.dataset import Dataset, SplitIndex
from pipeline.errors import DataError
from pipeline.feed import FedBatch, Feed
from pipeline.graph import GraphConfig, Stages, build_graph, decoding_problem
from pipeline.kept import KeptImages
from pipeline.plan import Plan, PlannedBatch
from pipeline.reader import ShardReader
from pipeline.supply import EncodedSupply, KeptSupply, Supply
from pipeline.targets import batch_targets
from pipeline.watch import Watch
from pipeline.whole import WholeDecoder
from pipeline.worker import Worker


@dataclass(frozen=True)
class Batch:
    """What a step gets: B samples of this rank.

    Attributes:
        images: uint8 (B, 3, H, W) on the device, in channels-last memory, not normalised.
        targets: on the device; classification: int64 (B,), labels; multi-label and regression:
            float32 (B, targets). -1 or a row of NaN where validation has no sample, since it was
            bad.
        samples: int64 (B,), rows of the split's index.
    """

    images: torch.Tensor
    targets: torch.Tensor
    samples: NDArray[np.int64]

    @property
    def labels(self) -> torch.Tensor:
        """The targets under their name in classification."""
        return self.targets

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """The batch on `device`, for loops that move what they get."""
        images = self.images.to(device, non_blocking=non_blocking)
        return Batch(images, self.targets.to(device, non_blocking=non_blocking), self.samples)


@dataclass(frozen=True, kw_only=True)
class Source:
    """What all iterations of a loader have in common; `rank` is for messages."""

    index: SplitIndex
    graph: GraphConfig
    config: PipelineConfig
    device: torch.device
    bad: BadSamples
    kept: KeptImages | None
    rank: int

    def supply(self, watch: Watch) -> Supply:
        """Images, encoded or kept."""
        reader = ShardReader(self.index, verify=self.config.verify == "crc", watch=watch)
        if self.kept is None:
            return EncodedSupply(reader)
        decoder = WholeDecoder(self.graph, on_device=self.graph.decoded == "device")
        return KeptSupply(reader, self.kept, decoder, watch)


def decoded_batches(source: Source, plan: Plan) -> Generator[Batch]:
    """Run the plan through DALI and hand the batches over to torch; see ``decoded_images``."""
    with closing(decoded_images(source, plan)) as runs:
        for planned, images in runs:
            yield _hand_over(planned, images, source)


def decoded_images(
    source: Source, plan: Plan, stages: Stages | None = None
) -> Generator[tuple[PlannedBatch, Any]]:
    """Run the plan through DALI: each planned batch and its images, DALI's list of tensors on the
    device. Samples that are bad are remembered in the source, and others take their places.

    `stages` are the graph's, all by default. Raises ``DataError`` that names shard and sample if a
    tar changed under the job, where too many samples are bad, and where nothing moves for
    --stall-timeout.
    """
    done = 0
    while done != plan.steps:
        # An error leaves DALI's pipeline unusable: the rest of the plan gets a new one.
        with closing(_run(source, plan.after(done), stages)) as runs:
            for run in runs:
                if run is None:
                    break
                yield run
                done += 1
            else:
                return


def open_feed(source: Source, plan: Plan, watch: Watch) -> Feed:
    """What DALI calls for each step of the plan."""
    return Feed(
        source.supply(watch),
        plan,
        source.graph,
        read_ahead=source.config.read_ahead,
        bad=source.bad,
        watch=watch,
    )


def _run(
    source: Source, plan: Plan, stages: Stages | None
) -> Generator[tuple[PlannedBatch, Any] | None]:
    """One pipeline from the plan's first step to its end, or to None: DALI failed, and the samples
    that made it fail are known to be bad now."""
    device = source.device
    stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
    watch = Watch(source.config.stall_timeout, source.rank)
    feed = open_feed(source, plan, watch)
    with closing(feed), _dali_thread(watch) as thread:
        pipeline = build_graph(feed, source.graph, stages)
        for step in itertools.count():
            watch.decoding = f"DALI decodes step {step}"
            try:
                (images,) = watch.wait(thread.submit(lambda: pipeline.run(stream)))
            except StopIteration:
                return
            except RuntimeError as error:
                _blame(feed.waiting(), source, error)
                yield None
                return
            yield feed.delivered(), images


def _hand_over(planned: PlannedBatch, images: Any, source: Source) -> Batch:
    return Batch(
        images=from_dlpack(images.as_tensor()).permute(0, 3, 1, 2),
        targets=_to_device(batch_targets(source.index, planned), source.device),
        samples=planned.samples,
    )


@contextmanager
def _dali_thread(watch: Watch) -> Iterator[Worker]:
    """A thread to run DALI in, since nothing can wake one that is stuck in there."""
    thread = Worker("shardline-dali")
    try:
        yield thread
    finally:
        thread.close(wait=not watch.stalled)


def _blame(fed: Sequence[FedBatch], source: Source, error: RuntimeError) -> None:
    """Find the samples that DALI can't decode, each alone with its window; raises ``DataError``
    where there are none, or too many."""
    graph, bad = source.graph, source.bad
    for batch in fed if graph.decoded is None else ():
        before, planned = len(bad.reasons), batch.planned
        windows = zip(planned.parameters.start, planned.parameters.shape, strict=True)
        for sample, data, window in zip(planned.samples, batch.images, windows, strict=True):
            if problem := decoding_problem(data, *window, graph):
                bad.add(int(sample), f"DALI can't decode it: {problem}")
        if len(bad.reasons) > before:
            return
    samples = fed[0].planned.samples
    raise DataError(
        f"DALI failed on a batch from {bad.index.describe(int(samples[0]))} to "
        f"{bad.index.describe(int(samples[-1]))}: {error}"
    ) from error


def graph_config(
    dataset: Dataset,
    config: PipelineConfig,
    device: torch.device,
    batch_size: int,
    *,
    training: bool,
    decoded: str | None = None,
) -> GraphConfig:
    """The graph for `dataset` as `config` says, on `device`.

    What is erased becomes the channels' mean: 0 once the model has normalised it.
    """
    red, green, blue = (float(round(255 * mean)) for mean in dataset.manifest.mean)
    on_gpu = device.type == "cuda"
    return GraphConfig(
        batch_size=batch_size,
        parameter_names=train_parameter_names(config) if training else GEOMETRY,
        operations=config.operations if training else 0,
        erased_color=(red, green, blue),
        device_id=(device.index or 0) if on_gpu else None,
        threads=config.resolved_threads,
        prefetch=config.prefetch,
        hw_decoder_load=config.hw_decoder_load,
        decoded=decoded,
        largest_px=(dataset.manifest.heights[2], dataset.manifest.widths[2]),
    )


def _to_device(targets: NDArray[Any], device: torch.device) -> torch.Tensor:
    tensor = torch.from_numpy(targets)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor
