"""One way to decode crops of JPEGs: images/s, CPU time, use of the GPU's JPEG decoders, and the
difference to the pixels of the CPU.

A decoder can crash or fall back to the CPU, so each way runs in a process of its own. The ways do
not alternate: only large differences between them count.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import nvidia.dali.fn as fn
import nvidia.dali.types as types
import torch
from numpy.typing import NDArray
from nvidia.dali import Pipeline, pipeline_def

from benchmarks.loader.gpu_decoder_utilization import DecoderUtilization, uuid_of
from benchmarks.measuring.alternate import alternate
from benchmarks.measuring.laps import Lap, measure_lap, synchronize
from benchmarks.measuring.table import figure_columns, report
from benchmarks.on_gpu.config import GpuRun
from benchmarks.on_gpu.pictures import encoded_pictures
from pipeline.limits.cores import available_cores

REGION, REGION_PLAIN, WHOLE = WAYS = ("region", "region-plain", "whole")
DESCRIPTIONS = {
    REGION: "region, fancy upsampling",
    REGION_PLAIN: "region, plain upsampling",
    WHOLE: "whole image, then slice",
}
BATCH_SIZE = 64
COLUMNS = {
    "cpu_milliseconds": ("CPU ms an image", 1, ",.2f"),
    "jpeg_decoder_use": ("GPU JPEG decoder", 1, ".0%"),
    "mean_difference": ("mean difference", 1, ".3f"),
    "largest_difference": ("largest", 1, ".0f"),
}

Windows = tuple[NDArray[np.int64], NDArray[np.int64]]


def measure_decoding(config: GpuRun, output: str, *, way: str, sampling: str) -> None:
    """Measure and report a way of WAYS on JPEGs of a chroma sampling."""
    device = torch.device(config.device)
    pictures = encoded_pictures(config, sampling)
    windows = draw_windows(pictures)

    # DALI counts the arguments: it takes no partial.
    def feed(step: int) -> tuple[Any, ...]:
        return feed_batch(pictures, windows, step)

    pipeline = build_decoder(feed, way, config.device, len(pictures))
    figures: dict[str, float | None] = dict(compare(first_crops(pipeline), reference(feed)))
    laps: list[Lap] = []
    uses: list[float | None] = []

    def measure() -> float:
        start = time.monotonic()
        images = runs(pipeline, min(BATCH_SIZE, len(pictures)))
        laps.append(measure_lap(images, config.amounts.seconds, partial(synchronize, device)))
        uses.append(utilization.between(start, time.monotonic()))
        return laps[-1].images_per_second

    name = f"{DESCRIPTIONS[way]}, 4:{sampling[1]}:{sampling[2]}"
    with DecoderUtilization(uuid_of(device)) as utilization:
        rows = alternate({name: measure}, runs=config.amounts.runs)
    known = [use for use in uses[1:] if use is not None]
    figures |= {
        "cpu_milliseconds": 1e3 * statistics.median(x.cpu_seconds / x.images for x in laps[1:]),
        "jpeg_decoder_use": statistics.mean(known) if known else None,
    }
    report(
        f"Crops of {len(pictures)} JPEGs, decoded on {config.device}",
        "images/s",
        rows,
        kind="benchmarks.on_gpu decode",
        facts={"figures": {name: figures}, "way": way, "sampling": sampling},
        columns=figure_columns({name: {field: figures[field] for field in COLUMNS}}, COLUMNS),
        finding=describe(name, rows[0].median, figures),
        output=output,
    )


def describe(name: str, rate: float, figures: dict[str, float | None]) -> str:
    use = figures["jpeg_decoder_use"]
    engine = "unknown" if use is None else f"{use:.0%}"
    return (
        f"{name}: {rate:,.0f} images/s, {figures['cpu_milliseconds']:.2f} CPU ms an image, use of "
        f"the GPU's JPEG decoder {engine}; {figures['mean_difference']:.3f} levels of mean "
        f"difference to the CPU's pixels, at most {figures['largest_difference']:.0f}."
    )


def draw_windows(pictures: Sequence[NDArray[np.uint8]]) -> Windows:
    """Start and shape, both (N, 2), of a window of each picture; each fourth is the whole one."""
    draw = np.random.default_rng(0)
    decoded = (cv2.imdecode(each, cv2.IMREAD_COLOR) for each in pictures)
    sizes = np.array([image.shape[:2] for image in decoded if image is not None])
    shapes = np.maximum(1, sizes * draw.uniform(0.3, 1, sizes.shape)).astype(np.int64)
    starts = (draw.uniform(0, 1, sizes.shape) * (sizes - shapes)).astype(np.int64)
    shapes[::4], starts[::4] = sizes[::4], 0
    return starts, shapes


def feed_batch(
    pictures: Sequence[NDArray[np.uint8]], windows: Windows, step: int
) -> tuple[Any, ...]:
    """A batch for DALI; the pictures repeat."""
    count = min(BATCH_SIZE, len(pictures))
    numbers = np.arange(step * count, (step + 1) * count) % len(pictures)
    return [pictures[n] for n in numbers.tolist()], *(part[numbers] for part in windows)


def build_decoder(feed: Any, way: str, device: str, pictures: int) -> Pipeline:
    """A pipeline that decodes the crops of each batch."""
    arguments = {
        "device": "mixed" if device == "cuda" else "cpu",
        "output_type": types.RGB,
        "jpeg_fancy_upsampling": way != REGION_PLAIN,
    }

    def crops() -> Any:
        encoded, start, shape = fn.external_source(feed, num_outputs=3, batch=True)
        if way == WHOLE:
            images = fn.decoders.image(encoded, **arguments)
            return fn.slice(images, start, shape, axis_names="HW")
        return fn.decoders.image_slice(encoded, start, shape, axis_names="HW", **arguments)

    pipeline = pipeline_def(
        crops,
        batch_size=min(BATCH_SIZE, pictures),
        num_threads=available_cores(),
        device_id=0 if device == "cuda" else None,
        prefetch_queue_depth=2,
        seed=0,
    )()
    pipeline.build()
    return pipeline


def runs(pipeline: Pipeline, batch_size: int) -> Iterator[int]:
    while True:
        pipeline.run()
        yield batch_size


def first_crops(pipeline: Pipeline) -> list[NDArray[np.uint8]]:
    (crops,) = pipeline.run()
    return [np.asarray(crop) for crop in crops.as_cpu()]


def reference(feed: Any) -> list[NDArray[np.uint8]]:
    """The crops of the first batch as the loader decodes them on CPUs."""
    count = len(feed(0)[0])
    return first_crops(build_decoder(feed, REGION, "cpu", count))


def compare(
    crops: Sequence[NDArray[np.uint8]], expected: Sequence[NDArray[np.uint8]]
) -> dict[str, float]:
    """Differences in levels from 0 to 255, and the share of crops without any."""
    differences = [
        np.abs(crop.astype(np.int16) - other) for crop, other in zip(crops, expected, strict=True)
    ]
    return {
        "mean_difference": statistics.mean(float(each.mean()) for each in differences),
        "largest_difference": float(max(each.max() for each in differences)),
        "equal_crops": statistics.mean(float(not each.any()) for each in differences),
    }
