"""Plans run through DALI: batches on the device.

plan (samples, parameters) -> feed (bytes) -> graph (DALI) -> Batch
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.dlpack import from_dlpack

from pipeline.config import PipelineConfig, resolve_sizes
from pipeline.dataset import Dataset, SplitIndex
from pipeline.errors import DataError
from pipeline.feed import Feed
from pipeline.graph import GraphConfig, build_graph
from pipeline.plan import Plan


@dataclass(frozen=True)
class Batch:
    """What a step gets: B samples of this rank.

    Attributes:
        images: uint8 (B, 3, H, W) on the device, in channels-last memory, not normalised.
        labels: int64 (B,) on the device.
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
) -> Generator[Batch]:
    """Run the plan through DALI.

    Raises ``DataError`` that names shard and sample if a tar changed under the job, and that names
    the batch if DALI can't decode it all the same.
    """
    if plan.steps == 0:
        return
    labels = index.samples["label"]
    stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
    feed = Feed(index, plan, graph, read_ahead=config.read_ahead, verify=config.verify)
    with closing(feed):
        pipeline = build_graph(feed, graph)
        while True:
            try:
                (images,) = pipeline.run(stream)
            except StopIteration:
                return
            except RuntimeError as error:
                samples = feed.oldest().samples
                raise DataError(
                    f"DALI failed on a batch from {index.describe(int(samples[0]))} to "
                    f"{index.describe(int(samples[-1]))}: {error}"
                ) from error
            samples = feed.delivered().samples
            yield Batch(
                images=from_dlpack(images.as_tensor()).permute(0, 3, 1, 2),
                labels=_to_device(labels[samples].astype(np.int64), device),
                samples=samples,
            )


def graph_config(
    dataset: Dataset, config: PipelineConfig, device: torch.device, batch_size: int, *, color: bool
) -> GraphConfig:
    """The graph for `dataset` as `config` says, on `device`."""
    on_gpu = device.type == "cuda"
    return GraphConfig(
        batch_size=batch_size,
        image_size_px=resolve_sizes(config, dataset.manifest).image_size_px,
        color=color,
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
