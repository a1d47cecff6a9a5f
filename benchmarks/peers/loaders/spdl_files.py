"""SPDL: a thread pool, whole batches decoded by each thread, as its ImageNet example does.

Pixels: FFmpeg decodes, and crops and resizes in one filter (bilinear, antialiased) before it turns
YUV into RGB, at its own precision; so chroma is resized by other factors than with the others.
"""

import random
from collections.abc import Iterator
from typing import Any

from benchmarks.peers.loaders.contract import IMAGE_SIZE_PX, Batch, Task, endless_order
from benchmarks.peers.loaders.transforms import random_window


def batches(task: Task) -> Iterator[Batch]:
    from spdl.pipeline import PipelineBuilder

    paths = sorted((task.folder / "files").glob("*/*"))
    order = endless_order(task.samples) if task.endless else iter(range(task.samples))
    pipeline = (
        PipelineBuilder()
        .add_source((str(paths[label]), label) for label in order)
        .aggregate(task.batch_size)
        .pipe(_decode, concurrency=task.workers)
        .add_sink(3)
        .build(num_threads=task.workers)
    )
    with pipeline.auto_stop():
        yield from pipeline.get_iterator()


def _decode(items: list[tuple[str, int]]) -> Batch:
    import spdl.io
    import torch

    paths, labels = zip(*items, strict=True)
    frames = spdl.io.convert_frames([_frame(path) for path in paths])
    return spdl.io.to_torch(frames).permute(0, 3, 1, 2), torch.tensor(labels)


def _frame(path: str) -> Any:
    import spdl.io

    packets = spdl.io.demux_image(path)
    y, x, height, width = random_window(packets.codec.height, packets.codec.width)
    filters = (
        f"crop={width}:{height}:{x}:{y}:exact=1",
        f"scale={IMAGE_SIZE_PX}:{IMAGE_SIZE_PX}:flags=bilinear",
        *["hflip"] * (random.random() < 0.5),
        "format=pix_fmts=rgb24",
    )
    return spdl.io.decode_packets(packets, filter_desc=",".join(filters))
