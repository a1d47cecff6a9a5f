"""Find the samples of a batch that made DALI fail or that have invalid masks."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import nvidia.dali.fn as fn
from numpy.typing import NDArray
from nvidia.dali.data_node import DataNode

from pipeline.arrays import Bytes
from pipeline.dali.decode_graph import GraphConfig, decode_crops, new_pipeline, reason_of
from pipeline.dali.masks import decode_masks
from pipeline.errors import DataError
from pipeline.feed.bad_samples import BadSamples
from pipeline.feed.feed import FedBatch


def find_undecodable(
    batches: Sequence[FedBatch], graph: GraphConfig, bad: BadSamples, error: RuntimeError
) -> None:
    """Add to `bad` the samples that DALI can't decode, by decoding each one's crop separately.

    Raises ``DataError`` if all of them can be decoded, or too many samples are bad.
    """
    for batch in batches if graph.decoded_cache is None else ():
        before, planned = len(bad.reasons), batch.planned
        crops = zip(planned.parameters.start, planned.parameters.shape, strict=True)
        for sample, data, crop in zip(planned.samples, batch.images, crops, strict=True):
            if problem := decoding_problem(data, *crop, graph):
                bad.add(int(sample), f"DALI can't decode it: {problem}")
        for sample, data in zip(planned.samples, batch.masks, strict=graph.masks):
            if problem := mask_decoding_problem(data, graph):
                bad.add(int(sample), f"DALI can't decode its mask: {problem}")
        if len(bad.reasons) > before:
            return
    samples = batches[0].planned.samples
    raise DataError(
        f"DALI failed on a batch from {bad.index.describe(int(samples[0]))} to "
        f"{bad.index.describe(int(samples[-1]))}: {error}"
    ) from error


def find_invalid_masks(batch: FedBatch, highest: Any, bad: BadSamples) -> bool:
    """Add to `bad` the samples whose masks have a value that is no class; whether there are any.

    `highest` is the graph's third output. Raises ``DataError`` if too many samples are bad.
    """
    values, classes = np.asarray(highest.as_tensor()), bad.index.classes
    invalid = np.flatnonzero(values >= classes).tolist()
    for i in invalid:
        reason = f"its mask has the value {values[i]}, but there are {classes} classes"
        bad.add(int(batch.planned.samples[i]), reason)
    return bool(invalid)


def decoding_problem(
    data: Bytes, start: NDArray[np.int32], shape: NDArray[np.int32], config: GraphConfig
) -> str | None:
    """Why DALI can't decode the crop (`start` and `shape` in px) of one image, or None."""

    def outputs() -> DataNode:
        encoded, start_node, shape_node = fn.external_source(
            lambda step: ([data], start[None], shape[None]), num_outputs=3, batch=True
        )
        return decode_crops(encoded, start_node, shape_node, config)

    return _problem(outputs, config)


def mask_decoding_problem(data: Bytes, config: GraphConfig) -> str | None:
    """Why DALI can't decode one mask, or None."""

    def outputs() -> tuple[DataNode, ...]:
        return decode_masks(fn.external_source(lambda step: [data], batch=True))

    return _problem(outputs, config)


def _problem(outputs: Callable[[], Any], config: GraphConfig) -> str | None:
    """Why DALI can't compute `outputs`, which take one sample, or None."""
    pipeline = new_pipeline(
        outputs, replace(config, batch_size=1, threads=1, prefetch=1, operations=0)
    )
    pipeline.build()
    try:
        pipeline.run()
    except RuntimeError as error:
        return reason_of(str(error))
    return None
