"""Plans run through DALI: batches on the device.

plan (samples, parameters) -> feed (bytes) -> graph (DALI) -> Batch
"""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.dlpack import from_dlpack

from pipeline.config import PipelineConfig
from pipeline.daemon_thread import DaemonThread
from pipeline.dali.decode_for_cache import FullImageDecoder
from pipeline.dali.decode_graph import GraphConfig, Stages, build_graph
from pipeline.feed.bad_samples import BadSamples
from pipeline.feed.decoded_cache import DecodedCache
from pipeline.feed.feed import FedBatch, Feed
from pipeline.feed.fetch import CachedFetcher, EncodedFetcher, Fetcher, MaskedSupply
from pipeline.plan.augment import GEOMETRY, train_parameter_names
from pipeline.plan.plan import Plan, PlannedBatch
from pipeline.plan.step_groups import step_slices
from pipeline.storage.dataset import Dataset, SplitIndex
from pipeline.storage.reader import ShardReader
from pipeline.targets import batch_targets, mask_targets
from pipeline.undecodable import find_invalid_masks, find_undecodable
from pipeline.watchdog import StallWatchdog


@dataclass(frozen=True)
class Batch:
    """What a step gets: B samples of this rank.

    Attributes:
        images: uint8 (B, 3, H, W) on the device, in channels-last memory, not normalized. On a CPU
            a part of what was decoded in one run, about 256 images; their memory is freed together.
        targets: on the device; classification: int64 (B,), labels; multi-label and regression:
            float32 (B, targets); segmentation: uint8 (B, H, W), the class of each pixel, VOID where
            nothing is said. -1, a row of NaN or all VOID where validation has no sample, since it
            was bad.
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
class BatchContext:
    """What all iterations of a loader have in common; `rank` is for messages.

    DALI decodes groups of at most `group` steps, of `batch_size` samples each but for the last.
    """

    index: SplitIndex
    batch_size: int
    group: int
    graph: GraphConfig
    config: PipelineConfig
    device: torch.device
    bad: BadSamples
    kept: DecodedCache | None
    rank: int

    def supply(self, watch: StallWatchdog) -> Fetcher:
        """Images, encoded or kept."""
        reader = ShardReader(
            self.index,
            verify=self.config.verify == "crc",
            watch=watch,
            masks=self.graph.masks,
        )
        if self.graph.masks:
            return MaskedSupply(reader, self.index)
        if self.kept is None:
            return EncodedFetcher(reader)
        decoder = FullImageDecoder(self.graph, on_device=self.graph.decoded == "device")
        return CachedFetcher(reader, self.kept, decoder, watch)


class _RunFailedError(Exception):
    """DALI failed. The samples that made it fail are known to be bad now, or the first `redo` steps
    are to be decoded again, each in a run of its own, until they are."""

    def __init__(self, redo: int) -> None:
        self.redo = redo


def decoded_batches(source: BatchContext, plan: Plan) -> Generator[Batch]:
    """Run the plan through DALI and hand its steps over to torch; see ``decoded_images``."""
    with closing(decoded_images(source, plan)) as runs:
        for planned, outputs in runs:
            yield from _hand_over(planned, outputs, source)


def decoded_images(
    source: BatchContext, plan: Plan, stages: Stages | None = None
) -> Generator[tuple[PlannedBatch, tuple[Any, ...]]]:
    """Run the plan through DALI: what each group of steps takes and the graph's outputs, DALI's
    lists of tensors. Samples that are bad are remembered in the source, and others take their
    places.

    `stages` are the graph's, all by default. Raises ``DataError`` that names shard and sample if a
    tar changed under the job, where too many samples are bad, and where nothing moves for
    --stall-timeout.
    """
    done = redone = 0
    while done != plan.steps:
        # An error leaves DALI's pipeline unusable: the rest of the plan gets a new one. What is bad
        # is found step by step, so that nothing depends on the group that a step was in.
        alone = done < redone
        rest = plan.part(done, redone if alone else plan.steps)
        try:
            with closing(_run(source, rest, 1 if alone else source.group, stages)) as runs:
                for batch, outputs in runs:
                    done += len(batch.steps)
                    yield batch.planned, outputs
        except _RunFailedError as failure:
            redone = max(redone, done + failure.redo)


def open_feed(
    source: BatchContext, plan: Plan, watch: StallWatchdog, *, group: int | None = None
) -> Feed:
    """What DALI calls for each group of the plan, the source's by default."""
    return Feed(
        source.supply(watch),
        plan,
        source.graph,
        group=group or source.group,
        read_ahead=source.config.read_ahead,
        bad=source.bad,
        watch=watch,
    )


def _run(
    source: BatchContext, plan: Plan, group: int, stages: Stages | None
) -> Generator[tuple[FedBatch, tuple[Any, ...]]]:
    """One pipeline for the whole plan; raises ``_RunFailedError``."""
    device = source.device
    stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
    watch = StallWatchdog(source.config.stall_timeout, source.rank)
    feed = open_feed(source, plan, watch, group=group)
    with closing(feed), _dali_thread(watch) as thread:
        pipeline = build_graph(feed, source.graph, stages)
        step = 0
        while True:
            watch.decoding = f"DALI decodes step {step}"
            try:
                outputs = watch.wait(thread.submit(lambda: pipeline.run(stream)))
            except StopIteration:
                return
            except RuntimeError as error:
                failed = feed.waiting()
                if group == 1:
                    find_undecodable(failed, source.graph, source.bad, error)
                    raise _RunFailedError(redo=0) from error
                raise _RunFailedError(redo=len(failed[0].steps)) from error
            batch = feed.delivered()
            if source.graph.masks and find_invalid_masks(batch, outputs[2], source.bad):
                raise _RunFailedError(redo=0)
            step = batch.steps.stop
            yield batch, outputs


def _hand_over(
    planned: PlannedBatch, outputs: tuple[Any, ...], source: BatchContext
) -> list[Batch]:
    """The batches of a group's steps, parts of the same tensors."""
    images, *masks = (from_dlpack(output.as_tensor()) for output in outputs[:2])
    pixels = images.permute(0, 3, 1, 2)
    targets = mask_targets(masks[0], planned) if masks else batch_targets(source.index, planned)
    targets = _to_device(targets, source.device)
    return [
        Batch(images=pixels[part], targets=targets[part], samples=planned.samples[part])
        for part in step_slices(len(planned.samples), source.batch_size)
    ]


@contextmanager
def _dali_thread(watch: StallWatchdog) -> Iterator[DaemonThread]:
    """A thread to run DALI in, since nothing can wake one that is stuck in there."""
    thread = DaemonThread("shardline-dali")
    try:
        yield thread
    finally:
        thread.close(wait=not watch.stalled)


def graph_config(
    dataset: Dataset,
    config: PipelineConfig,
    device: torch.device,
    batch_size: int,
    *,
    training: bool,
    decoded: str | None = None,
) -> GraphConfig:
    """The graph for `dataset` as `config` says, on `device`, for runs of `batch_size` samples.

    What is erased becomes the channels' mean: 0 once the model has normalized it.
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
        masks=dataset.manifest.task == "segmentation",
    )


def _to_device(targets: torch.Tensor, device: torch.device) -> torch.Tensor:
    if device.type == "cuda":
        return targets.pin_memory().to(device, non_blocking=True)
    return targets
