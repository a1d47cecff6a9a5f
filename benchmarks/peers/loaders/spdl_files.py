"""SPDL as in its ImageNet example: a thread pool, of which each thread decodes whole batches.

Pixels: FFmpeg decodes, crops and resizes in one filter (bilinear, antialiased) before it converts
YUV to RGB at its own precision, so it resizes chroma by other factors than the other loaders.
"""

import random
from collections.abc import Iterator
from typing import Any

from benchmarks.peers.contract import IMAGE_SIZE_PX, Batch, Peer, Task, endless_order
from benchmarks.peers.transforms import random_crop


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
    y, x, height, width = random_crop(packets.codec.height, packets.codec.width)
    filters = (
        f"crop={width}:{height}:{x}:{y}:exact=1",
        f"scale={IMAGE_SIZE_PX}:{IMAGE_SIZE_PX}:flags=bilinear",
        *["hflip"] * (random.random() < 0.5),
        "format=pix_fmts=rgb24",
    )
    return spdl.io.decode_packets(packets, filter_desc=",".join(filters))


PEERS = {
    "spdl": Peer(
        name="SPDL",
        batches=batches,
        stored="files",
        packages=("torch", "spdl"),
        system=("ffmpeg",),
        pixels="YUV resized",
    )
}
