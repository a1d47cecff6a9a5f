"""The one DALI graph: training and validation, CPU and GPU.

    (bytes, parameters) -> decode the window -> resize the region -> [color] -> flip -> uint8 HWC

Only the decoder names a device; everything after it runs where its output lies. Nothing here draws
a random number: windows, flips and colors come in from ``augment.py``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import nvidia.dali.fn as fn
import nvidia.dali.types as types
from numpy.typing import NDArray
from nvidia.dali import Pipeline
from nvidia.dali.data_node import DataNode

from pipeline.augment import Parameters

GEOMETRY = ("start", "shape", "roi_start", "roi_end", "mirror")
COLOR = ("brightness", "contrast", "saturation")

Source = Callable[[int], tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """`device_id` None builds the graph for the CPU, on machines without CUDA too."""

    batch_size: int
    image_size_px: int
    color: bool
    device_id: int | None
    threads: int
    prefetch: int
    hw_decoder_load: float

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The fields of ``Parameters`` that the graph takes, in order."""
        return GEOMETRY + COLOR if self.color else GEOMETRY


def build_graph(source: Source, config: GraphConfig) -> Pipeline:
    """The pipeline, built.

    `source` is called with 0, 1, 2 ... and returns the encoded images (a list of uint8 arrays) and
    the arrays named by `config.parameter_names`; it ends the run by ``StopIteration``.
    Each run gives one output: uint8, (B, image_size_px, image_size_px, 3), on the device.
    """
    pipeline = new_pipeline(config)
    with pipeline:
        encoded, *parameters = fn.external_source(
            source, num_outputs=1 + len(config.parameter_names), batch=True, no_copy=True
        )
        named = dict(zip(config.parameter_names, parameters, strict=True))
        pipeline.set_outputs(transform(encoded, named, config))
    pipeline.build()
    return pipeline


def new_pipeline(config: GraphConfig) -> Pipeline:
    return Pipeline(
        batch_size=config.batch_size,
        num_threads=config.threads,
        device_id=config.device_id,
        prefetch_queue_depth=config.prefetch,
        seed=0,
    )


def decode(encoded: DataNode, start: DataNode, shape: DataNode, config: GraphConfig) -> DataNode:
    """The windows of encoded images, RGB."""
    return fn.decoders.image_slice(
        encoded,
        start,
        shape,
        axis_names="HW",
        device="cpu" if config.device_id is None else "mixed",
        output_type=types.RGB,
        hw_decoder_load=config.hw_decoder_load,
        jpeg_fancy_upsampling=True,  # as libjpeg-turbo on the CPU does
    )


def transform(
    encoded: DataNode, parameters: Mapping[str, DataNode], config: GraphConfig
) -> DataNode:
    """Encoded images and parameters -> images; the operators that every feed shares."""
    images = decode(encoded, parameters["start"], parameters["shape"], config)
    images = fn.resize(
        images,
        size=(config.image_size_px, config.image_size_px),
        roi_start=parameters["roi_start"],
        roi_end=parameters["roi_end"],
        interp_type=types.INTERP_LINEAR,
        antialias=True,
    )
    if config.color:
        images = fn.color_twist(images, **{name: parameters[name] for name in COLOR})
    return fn.flip(images, horizontal=parameters["mirror"])


def source_outputs(encoded: Any, parameters: Parameters, config: GraphConfig) -> tuple[Any, ...]:
    """What a `source` returns for one batch."""
    return encoded, *(getattr(parameters, name) for name in config.parameter_names)


def decoding_problem(
    data: NDArray[np.uint8], start: NDArray[np.int32], shape: NDArray[np.int32], config: GraphConfig
) -> str | None:
    """Why DALI can't decode the window of one image alone, or None if it can."""
    pipeline = new_pipeline(replace(config, batch_size=1, threads=1, prefetch=1))
    with pipeline:
        encoded, start_node, shape_node = fn.external_source(
            lambda step: ([data], start[None], shape[None]), num_outputs=3, batch=True
        )
        pipeline.set_outputs(decode(encoded, start_node, shape_node, config))
    pipeline.build()
    try:
        pipeline.run()
    except RuntimeError as error:
        return _reason(str(error))
    return None


def _reason(error: str) -> str:
    """The line of DALI's message that says what happened."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    told = [line for line in lines if "Error" in line and not line.startswith("Traceback")]
    return (told or lines or ["no reason given"])[-1]
