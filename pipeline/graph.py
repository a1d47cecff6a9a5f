"""The one DALI graph: training and validation, CPU and GPU.

    (bytes, parameters) -> decode the window -> resize the region -> [color] -> flip
                        -> [operations] -> [erase] -> uint8 HWC

Only the decoder names a device; everything after it runs where its output lies. Nothing here draws
a random number: windows, flips and colors come in from ``augment.py``. What stands in brackets is
there where its parameters are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import nvidia.dali.fn as fn
import nvidia.dali.types as types
from numpy.typing import NDArray
from nvidia.dali import Pipeline, pipeline_def
from nvidia.dali.data_node import DataNode

from pipeline.augment import COLOR, OPERATIONS, Parameters
from pipeline.operations import operate

Source = Callable[[int], tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """
    Attributes:
        parameter_names: the fields of ``Parameters`` that the graph takes, in order.
        operations: how many ``operation``, ``matrix`` and ``amount`` hold.
        erased_color: RGB, levels from 0 to 255.
        device_id: None builds the graph for the CPU, on machines without CUDA too.
    """

    batch_size: int
    parameter_names: tuple[str, ...]
    operations: int
    erased_color: tuple[float, float, float]
    device_id: int | None
    threads: int
    prefetch: int
    hw_decoder_load: float


def build_graph(source: Source, config: GraphConfig) -> Pipeline:
    """The pipeline, built.

    `source` is called with 0, 1, 2 ... and returns the encoded images (a list of uint8 arrays) and
    the arrays named by `config.parameter_names`; it ends the run by ``StopIteration``.
    Each run gives one output: uint8, (B, height, width, 3), on the device.
    """

    def outputs() -> DataNode:
        names = ("encoded", *config.parameter_names)
        inputs = fn.external_source(source, num_outputs=len(names), batch=True, no_copy=True)
        # DALI's translation of ``if`` knows no strict zip.
        parameters = {name: inputs[number] for number, name in enumerate(names)}
        return transform(parameters.pop("encoded"), parameters, config)

    pipeline = new_pipeline(outputs, config)
    pipeline.build()
    return pipeline


def new_pipeline(outputs: Callable[[], Any], config: GraphConfig) -> Pipeline:
    """The pipeline that gives what `outputs` returns, not built."""
    define = pipeline_def(
        outputs,
        enable_conditionals=config.operations > 0,
        batch_size=config.batch_size,
        num_threads=config.threads,
        device_id=config.device_id,
        prefetch_queue_depth=config.prefetch,
        seed=0,
    )
    return define()


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
    return augment(images, parameters, config)


def augment(images: DataNode, parameters: Mapping[str, Any], config: GraphConfig) -> DataNode:
    """Decoded windows -> images."""
    images = fn.resize(
        images,
        size=parameters["size"],
        roi_start=parameters["roi_start"],
        roi_end=parameters["roi_end"],
        interp_type=types.INTERP_LINEAR,
        antialias=True,
    )
    twist = {name: parameters[name] for name in (*COLOR, "hue") if name in parameters}
    if twist:
        images = fn.color_twist(images, **twist)
    images = fn.flip(images, horizontal=parameters["mirror"])
    for stage in range(config.operations):
        operation, matrix, amount = (parameters[name][stage] for name in OPERATIONS)
        images = operate(images, operation, matrix, amount)
    if "hole_start" in parameters:
        images = fn.erase(
            images,
            anchor=parameters["hole_start"],
            shape=parameters["hole_shape"],
            axis_names="HW",
            fill_value=config.erased_color,
        )
    return images


def source_outputs(encoded: Any, parameters: Parameters, config: GraphConfig) -> tuple[Any, ...]:
    """What a `source` returns for one batch."""
    return encoded, *(getattr(parameters, name) for name in config.parameter_names)


def decoding_problem(
    data: NDArray[np.uint8], start: NDArray[np.int32], shape: NDArray[np.int32], config: GraphConfig
) -> str | None:
    """Why DALI can't decode the window of one image alone, or None if it can."""

    def outputs() -> DataNode:
        encoded, start_node, shape_node = fn.external_source(
            lambda step: ([data], start[None], shape[None]), num_outputs=3, batch=True
        )
        return decode(encoded, start_node, shape_node, config)

    alone = replace(config, batch_size=1, threads=1, prefetch=1, operations=0)
    pipeline = new_pipeline(outputs, alone)
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
