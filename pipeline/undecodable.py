"""Which samples of a batch are to blame, where DALI failed or gave what can't be."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import nvidia.dali.fn as fn
from numpy.typing import NDArray
from nvidia.dali.data_node import DataNode

from pipeline.dali.decode_graph import GraphConfig, decode, new_pipeline, reason_of
from pipeline.dali.masks import decode_masks
from pipeline.errors import DataError
from pipeline.feed.bad_samples import BadSamples
from pipeline.feed.feed import FedBatch


def find_undecodable(
    fed: Sequence[FedBatch], graph: GraphConfig, bad: BadSamples, error: RuntimeError
) -> None:
    """Find the samples that DALI can't decode, each alone with its window; raises ``DataError``
    where there are none, or too many."""
    for batch in fed if graph.decoded is None else ():
        before, planned = len(bad.reasons), batch.planned
        windows = zip(planned.parameters.start, planned.parameters.shape, strict=True)
        for sample, data, window in zip(planned.samples, batch.images, windows, strict=True):
            if problem := decoding_problem(data, *window, graph):
                bad.add(int(sample), f"DALI can't decode it: {problem}")
        for sample, data in zip(planned.samples, batch.masks, strict=graph.masks):
            if problem := mask_decoding_problem(data, graph):
                bad.add(int(sample), f"DALI can't decode its mask: {problem}")
        if len(bad.reasons) > before:
            return
    samples = fed[0].planned.samples
    raise DataError(
        f"DALI failed on a batch from {bad.index.describe(int(samples[0]))} to "
        f"{bad.index.describe(int(samples[-1]))}: {error}"
    ) from error


def find_invalid_masks(batch: FedBatch, highest: Any, bad: BadSamples) -> bool:
    """Whether masks of `batch` hold values that are no class: their samples are bad then.

    `highest` is the graph's output. Raises ``DataError`` where there are too many.
    """
    values, classes = np.asarray(highest.as_tensor()), bad.index.classes
    strange = np.flatnonzero(values >= classes).tolist()
    for place in strange:
        why = f"its mask holds the value {values[place]}, but there are {classes} classes"
        bad.add(int(batch.planned.samples[place]), why)
    return bool(strange)


def decoding_problem(
    data: NDArray[np.uint8], start: NDArray[np.int32], shape: NDArray[np.int32], config: GraphConfig
) -> str | None:
    """Why DALI can't decode the window of one image alone, or None if it can."""

    def outputs() -> DataNode:
        encoded, start_node, shape_node = fn.external_source(
            lambda step: ([data], start[None], shape[None]), num_outputs=3, batch=True
        )
        return decode(encoded, start_node, shape_node, config)

    return _problem(outputs, config)


def mask_decoding_problem(data: NDArray[np.uint8], config: GraphConfig) -> str | None:
    """Why DALI can't decode a mask alone, or None if it can."""

    def outputs() -> tuple[DataNode, ...]:
        return decode_masks(fn.external_source(lambda step: [data], batch=True))

    return _problem(outputs, config)


def _problem(outputs: Callable[[], Any], config: GraphConfig) -> str | None:
    """Why DALI can't run what gives `outputs` of one sample, or None if it can."""
    alone = replace(config, batch_size=1, threads=1, prefetch=1, operations=0)
    pipeline = new_pipeline(outputs, alone)
    pipeline.build()
    try:
        pipeline.run()
    except RuntimeError as error:
        return reason_of(str(error))
    return None
