"""Run a plan through DALI and yield batches on the device.

plan (samples, parameters) -> feed (bytes) -> graph (DALI) -> Batch
"""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from nvidia.dali import Pipeline

from pipeline.batch import Batch as Batch
from pipeline.config import TORCH_RESIZES_PX, PipelineConfig
from pipeline.daemon_thread import DaemonThread
from pipeline.dali.decode_for_cache import FullImageDecoder
from pipeline.dali.decode_graph import GraphConfig, Stages, build_graph
from pipeline.dali.outputs import OutputReader
from pipeline.dali.rebuilt_pipeline import shut_down
from pipeline.feed.bad_samples import BadSamples
from pipeline.feed.decoded_cache import DecodedCache
from pipeline.feed.feed import FedBatch, Feed
from pipeline.feed.fetch import CachedFetcher, EncodedFetcher, Fetcher, MaskedFetcher
from pipeline.on_device import thread_start, to_device
from pipeline.plan.augment import GEOMETRY, train_parameter_names
from pipeline.plan.decode_groups import step_slices
from pipeline.plan.plan import Plan, PlannedBatch
from pipeline.sizes import resolve_sizes
from pipeline.storage.dataset import Dataset, SplitIndex
from pipeline.storage.reader import ShardReader
from pipeline.targets import batch_targets, mask_targets
from pipeline.undecodable import find_invalid_masks, find_undecodable
from pipeline.watchdog import StallWatchdog


@dataclass(frozen=True, kw_only=True)
class BatchContext:
    """The state that all iterations of a loader share.

    Attributes:
        batch_size: samples of a step on this rank; the last step of validation may have fewer.
        group: the most steps that DALI decodes in one run.
        bad: the bad samples found so far.
        decoded_cache: decoded images in memory, None without ``--cache``.
        rank: for messages only.
    """

    index: SplitIndex
    batch_size: int
    group: int
    graph: GraphConfig
    config: PipelineConfig
    device: torch.device
    bad: BadSamples
    decoded_cache: DecodedCache | None
    rank: int

    def fetcher(self, watchdog: StallWatchdog) -> Fetcher:
        """Open the shards: a fetcher of encoded images, of images and masks, or of cached ones."""
        reader = ShardReader(
            self.index,
            verify=self.config.verify == "crc",
            watchdog=watchdog,
            masks=self.graph.masks,
        )
        if self.graph.masks:
            return MaskedFetcher(reader, self.index)
        if self.decoded_cache is None:
            return EncodedFetcher(reader)
        return CachedFetcher(reader, self.decoded_cache, FullImageDecoder(self.graph), watchdog)


class _RunFailedError(Exception):
    """DALI failed: decode the first `redo` steps again, each in a run of its own, to find the bad
    samples; with 0 they have been found."""

    def __init__(self, redo: int) -> None:
        self.redo = redo


def decoded_batches(context: BatchContext, plan: Plan) -> Generator[Batch]:
    """Yield the batch of each step of the plan; raises as ``decoded_images`` does."""
    reader = OutputReader(context.device, views=context.config.gpu_batches == "views")
    with closing(decoded_images(context, plan)) as runs, closing(reader):
        for planned, outputs in runs:
            yield from _hand_over(planned, reader.tensors(outputs[:2]), context)


def decoded_images(
    context: BatchContext, plan: Plan, stages: Stages | None = None
) -> Generator[tuple[PlannedBatch, tuple[Any, ...]]]:
    """Run the plan through DALI; yield the samples of each group of steps and the graph's outputs,
    which are DALI's lists of tensors.

    `stages` replaces the stages of the graph. Bad samples are added to `context.bad` and replaced.

    Raises:
        DataError: a shard was changed during the run, too many samples are bad, or a batch did not
            arrive within --stall-timeout.
    """
    done = redone = 0
    while done != plan.steps:
        # An error leaves DALI's pipeline unusable: the rest of the plan gets a new one. Bad samples
        # are searched step by step, so that the result doesn't depend on how steps were grouped.
        single = done < redone
        rest = plan.part(done, redone if single else plan.steps)
        try:
            with closing(_run(context, rest, 1 if single else context.group, stages)) as runs:
                for batch, outputs in runs:
                    done += len(batch.steps)
                    yield batch.planned, outputs
        except _RunFailedError as failure:
            redone = max(redone, done + failure.redo)


def open_feed(
    context: BatchContext, plan: Plan, watchdog: StallWatchdog, *, group: int | None = None
) -> Feed:
    """The feed that DALI calls for each group of at most `group` steps (by default the
    context's)."""
    return Feed(
        context.fetcher(watchdog),
        plan,
        context.graph,
        group=group or context.group,
        read_ahead=context.config.read_ahead,
        bad=context.bad,
        watchdog=watchdog,
        at_start=thread_start(context.device),  # with --cache device it decodes on the GPU
    )


def _run(
    context: BatchContext, plan: Plan, group: int, stages: Stages | None
) -> Generator[tuple[FedBatch, tuple[Any, ...]]]:
    """Run one DALI pipeline over the whole plan; raises ``_RunFailedError``."""
    device = context.device
    stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
    watchdog = StallWatchdog(context.config.stall_timeout, context.rank)
    feed = open_feed(context, plan, watchdog, group=group)
    with (
        closing(feed),
        _built(feed, context.graph, stages, watchdog) as pipeline,
        _dali_thread(watchdog, device) as thread,
    ):
        step = 0
        while True:
            watchdog.decoding = f"DALI decodes step {step}"
            try:
                outputs = watchdog.wait(thread.submit(lambda: pipeline.run(stream)))
            except StopIteration:
                return
            except RuntimeError as error:
                undelivered = feed.undelivered()
                if group == 1:
                    find_undecodable(undelivered, context.graph, context.bad, error)
                    raise _RunFailedError(redo=0) from error
                raise _RunFailedError(redo=len(undelivered[0].steps)) from error
            batch = feed.delivered()
            if context.graph.masks and find_invalid_masks(batch, outputs[2], context.bad):
                raise _RunFailedError(redo=0)
            step = batch.steps.stop
            yield batch, outputs


def _hand_over(
    planned: PlannedBatch, tensors: list[torch.Tensor], context: BatchContext
) -> list[Batch]:
    """The batches of a group's steps, from its images and masks: views of the same tensors."""
    images, *masks = tensors
    images = images.permute(0, 3, 1, 2)
    targets = mask_targets(masks[0], planned) if masks else batch_targets(context.index, planned)
    targets = to_device(targets, context.device)
    return [
        Batch(images=images[step], targets=targets[step], samples=planned.samples[step])
        for step in step_slices(len(planned.samples), context.batch_size)
    ]


@contextmanager
def _built(
    feed: Feed, graph: GraphConfig, stages: Stages | None, watchdog: StallWatchdog
) -> Iterator[Pipeline]:
    """DALI's pipeline, which is shut down at the end, unless it hangs."""
    pipeline = build_graph(feed, graph, stages)
    try:
        yield pipeline
    finally:
        if not watchdog.stalled:
            shut_down(pipeline)


@contextmanager
def _dali_thread(watchdog: StallWatchdog, device: torch.device) -> Iterator[DaemonThread]:
    """A thread that runs DALI: a call into DALI that hangs can't be interrupted."""
    thread = DaemonThread("shardline-dali", at_start=thread_start(device))
    try:
        yield thread
    finally:
        thread.close(wait=not watchdog.stalled)


def graph_config(
    dataset: Dataset,
    config: PipelineConfig,
    device: torch.device,
    batch_size: int,
    *,
    training: bool,
    decoded_cache: str | None = None,
    hint_px: tuple[int, int] = (0, 0),
) -> GraphConfig:
    """The graph's settings for runs of `batch_size` samples; see ``GraphConfig``.

    Erased pixels get the mean color of the training split.
    """
    sizes = resolve_sizes(config, dataset.manifest)
    side_px = max((sizes.image_size_px, *(config.progressive_resize or ())))
    red, green, blue = (float(round(255 * mean)) for mean in dataset.manifest.mean)
    return GraphConfig(
        batch_size=batch_size,
        parameter_names=train_parameter_names(config) if training else GEOMETRY,
        operations=config.operations if training else 0,
        erased_color=(red, green, blue),
        device_id=(device.index or 0) if device.type == "cuda" else None,
        threads=config.resolved_threads,
        prefetch=config.prefetch,
        hw_decoder_load=config.hw_decoder_load,
        interpolation=config.resolved_interpolation,
        decoded_cache=decoded_cache,
        hint_px=hint_px,
        whole_images=not training,
        masks=dataset.manifest.task == "segmentation",
        resizes_with_torch=side_px >= TORCH_RESIZES_PX,
    )
