"""Plans run through DALI: batches on the device.

plan (samples, parameters) -> feed (bytes) -> graph (DALI) -> Batch
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

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
from pipeline.graph import GraphConfig, build_graph, decoding_problem
from pipeline.plan import Plan


@dataclass(frozen=True)
class Batch:
    """What a step gets: B samples of this rank.

    Attributes:
        images: uint8 (B, 3, H, W) on the device, in channels-last memory, not normalised.
        labels: int64 (B,) on the device; -1 where validation has no sample, since it was bad.
        samples: int64 (B,), rows of the split's index.
    """

    images: torch.Tensor
    labels: torch.Tensor
    samples: NDArray[np.int64]


def decoded_batches(
    index: SplitIndex,
    plan: Plan,
    graph: GraphConfig,
    config: PipelineConfig,
    device: torch.device,
    bad: BadSamples,
) -> Generator[Batch]:
    """Run the plan through DALI. Samples that are bad are remembered in `bad`, and others take
    their places.

    Raises ``DataError`` that names shard and sample if a tar changed under the job, and where too
    many samples are bad.
    """
    done = 0
    while done != plan.steps:
        # An error leaves DALI's pipeline unusable: the rest of the plan gets a new one.
        with closing(_run(index, plan.after(done), graph, config, device, bad)) as batches:
            for batch in batches:
                if batch is None:
                    break
                yield batch
                done += 1
            else:
                return


def _run(
    index: SplitIndex,
    plan: Plan,
    graph: GraphConfig,
    config: PipelineConfig,
    device: torch.device,
    bad: BadSamples,
) -> Generator[Batch | None]:
    """One pipeline from the plan's first step to its end, or to None: DALI failed, and the samples
    that made it fail are in `bad` now."""
    labels = index.samples["label"]
    stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
    feed = Feed(index, plan, graph, read_ahead=config.read_ahead, verify=config.verify, bad=bad)
    with closing(feed):
        pipeline = build_graph(feed, graph)
        while True:
            try:
                (images,) = pipeline.run(stream)
            except StopIteration:
                return
            except RuntimeError as error:
                _blame(feed.waiting(), graph, bad, error)
                yield None
                return
            planned = feed.delivered()
            batch_labels = np.where(planned.counts, labels[planned.samples], -1)
            yield Batch(
                images=from_dlpack(images.as_tensor()).permute(0, 3, 1, 2),
                labels=_to_device(batch_labels.astype(np.int64), device),
                samples=planned.samples,
            )


def _blame(
    fed: Sequence[FedBatch], graph: GraphConfig, bad: BadSamples, error: RuntimeError
) -> None:
    """Find the samples that DALI can't decode, each alone with its window; raises ``DataError``
    where there are none, or too many."""
    for batch in fed:
        before, planned = len(bad.reasons), batch.planned
        windows = zip(planned.parameters.start, planned.parameters.shape, strict=True)
        for sample, data, window in zip(planned.samples, batch.encoded, windows, strict=True):
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
    )


def _to_device(labels: NDArray[np.int64], device: torch.device) -> torch.Tensor:
    tensor = torch.from_numpy(labels)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor
