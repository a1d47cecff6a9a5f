"""Find the samples of a batch that made DALI fail or that have invalid masks."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import nvidia.dali.fn as fn
from numpy.typing import NDArray
from nvidia.dali.data_node import DataNode

from pipeline.arrays import Bytes
from pipeline.dali.decode_graph import GraphConfig, decode_crops, reason_of
from pipeline.dali.masks import decode_masks
from pipeline.dali.rebuilt_pipeline import RebuiltPipeline
from pipeline.errors import DataError
from pipeline.feed.bad_samples import BadSamples
from pipeline.feed.feed import FedBatch


def find_undecodable(
    batches: Sequence[FedBatch], graph: GraphConfig, bad: BadSamples, error: RuntimeError
) -> None:
    """Add to `bad` the samples that DALI can't decode, by decoding one after another.

    Raises ``DataError`` if all of them can be decoded, or too many samples are bad.
    """
    decoder = _SampleDecoder(graph)
    for batch in batches if graph.decoded_cache is None else ():
        before, planned = len(bad.reasons), batch.planned
        crops = zip(planned.parameters.start, planned.parameters.shape, strict=True)
        for sample, data, crop in zip(planned.samples, batch.images, crops, strict=True):
            if problem := decoder.problem(data, *crop):
                bad.add(int(sample), f"DALI can't decode it: {problem}")
        for sample, data in zip(planned.samples, batch.masks, strict=graph.masks):
            if problem := decoder.mask_problem(data):
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


class _SampleDecoder:
    """Decodes sample after sample as the graph does, in one pipeline until a sample is bad."""

    def __init__(self, config: GraphConfig) -> None:
        one = replace(config, batch_size=1, threads=1)
        self._images = RebuiltPipeline(partial(_decode_crop, config), one)
        self._masks = RebuiltPipeline(_decode_mask, one)

    def problem(
        self, data: Bytes, start: NDArray[np.int32], shape: NDArray[np.int32]
    ) -> str | None:
        """Why DALI can't decode the crop (`start` and `shape` in px) of an image, or None."""
        return _problem(self._images, encoded=[data], start=start[None], shape=shape[None])

    def mask_problem(self, data: Bytes) -> str | None:
        """Why DALI can't decode a mask, or None."""
        return _problem(self._masks, encoded=[data])


def _decode_crop(config: GraphConfig) -> DataNode:
    encoded, start, shape = (_input(name) for name in ("encoded", "start", "shape"))
    return decode_crops(encoded, start, shape, config)


def _decode_mask() -> tuple[DataNode, ...]:
    return decode_masks(_input("encoded"))


def _input(name: str) -> DataNode:
    node: DataNode = fn.external_source(name=name, batch=True, no_copy=True)
    return node


def _problem(pipeline: RebuiltPipeline, **batch: Any) -> str | None:
    try:
        pipeline.run(**batch)
    except RuntimeError as error:
        return reason_of(str(error))
    return None
