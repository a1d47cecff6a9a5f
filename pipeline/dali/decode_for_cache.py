"""Whole images, decoded by DALI as the graph decodes their windows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import nvidia.dali.fn as fn
from numpy.typing import NDArray
from nvidia.dali.data_node import DataNode

from pipeline.dali.decode_graph import GraphConfig, new_pipeline, reason_of


class FullImageDecoder:
    """Encoded images -> uint8 (height, width, 3), on the device or in host memory.

    A window of one has the same bits as a window decoded alone, on the CPU.
    """

    def __init__(self, config: GraphConfig, *, on_device: bool) -> None:
        self._config, self._on_device = config, on_device
        self._pipeline: Any = None

    def __call__(
        self, encoded: Mapping[int, NDArray[np.uint8]]
    ) -> tuple[dict[int, Any], dict[int, str]]:
        """The images by the keys of `encoded`, as DALI's tensors that the next call overwrites; and
        why those that are missing can't be decoded."""
        if not encoded:
            return {}, {}
        try:
            decoded = self._run(list(encoded.values()))
            return dict(zip(encoded, decoded, strict=True)), {}
        except RuntimeError:
            bad = {key: why for key, data in encoded.items() if (why := self._problem(data))}
            if not bad:
                raise
        rest = {key: data for key, data in encoded.items() if key not in bad}
        images, more = self(rest)
        return images, bad | more

    def _problem(self, data: NDArray[np.uint8]) -> str | None:
        try:
            self._run([data])
        except RuntimeError as error:
            return f"DALI can't decode it: {reason_of(str(error))}"
        return None

    def _run(self, encoded: list[NDArray[np.uint8]]) -> list[Any]:
        if self._pipeline is None:
            self._pipeline = self._build()
        try:
            self._pipeline.feed_input("encoded", encoded)
            (images,) = self._pipeline.run()
        except RuntimeError:
            self._pipeline = None  # an error leaves it unusable
            raise
        return list(images if self._on_device else images.as_cpu())

    def _build(self) -> Any:
        config = replace(self._config, prefetch=1, operations=0)

        def outputs() -> DataNode:
            encoded = fn.external_source(name="encoded", batch=True, no_copy=True)
            return fn.decoders.image(encoded, **config.decoder_arguments)

        pipeline = new_pipeline(outputs, config)
        pipeline.build()
        return pipeline
