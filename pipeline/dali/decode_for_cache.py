"""Decode full images with DALI, so that a crop of one equals the crop that the graph decodes."""

from collections.abc import Mapping
from typing import Any

import nvidia.dali.fn as fn
from nvidia.dali.data_node import DataNode

from pipeline.arrays import Bytes
from pipeline.dali.decode_graph import GraphConfig, reason_of
from pipeline.dali.rebuilt_pipeline import RebuiltPipeline


class FullImageDecoder:
    """Encoded images -> uint8 (height, width, 3), where `config.decoded_cache` says.

    On a CPU a crop of the result has the same bits as a crop that the graph decodes.
    """

    def __init__(self, config: GraphConfig) -> None:
        self._config = config
        self._pipeline = RebuiltPipeline(self._outputs, config)

    def __call__(self, encoded: Mapping[int, Bytes]) -> tuple[dict[int, Any], dict[int, str]]:
        """Decode images. Returns, by the keys of `encoded`, DALI's tensors, which the next call
        overwrites, and the reasons of images that can't be decoded."""
        if not encoded:
            return {}, {}
        try:
            decoded = self._run(list(encoded.values()))
            return dict(zip(encoded, decoded, strict=True)), {}
        except RuntimeError:
            bad = {key: reason for key, data in encoded.items() if (reason := self._problem(data))}
            if not bad:
                raise
        images, more = self({key: data for key, data in encoded.items() if key not in bad})
        return images, bad | more

    def _problem(self, data: Bytes) -> str | None:
        try:
            self._run([data])
        except RuntimeError as error:
            return f"DALI can't decode it: {reason_of(str(error))}"
        return None

    def _run(self, encoded: list[Bytes]) -> list[Any]:
        (images,) = self._pipeline.run(encoded=encoded)
        return list(images if self._config.decoded_cache == "device" else images.as_cpu())

    def _outputs(self) -> DataNode:
        encoded = fn.external_source(name="encoded", batch=True, no_copy=True)
        return fn.decoders.image(encoded, **self._config.decoder_arguments)
