"""ffcv on its own file as in its ImageNet example: random order, the file in the page cache.

Pixels: ffcv stores raw pixels or JPEGs that it re-encodes (quality 90, chroma 4:2:0), so PNGs are
JPEGs here. It decodes with libturbojpeg and resizes with OpenCV's INTER_AREA, which averages areas
when it shrinks a crop.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.contract import IMAGE_SIZE_PX, TORCH, Batch, Peer, Task

ENDLESS_EPOCHS = 400


def write(task: Task, out: Path) -> None:
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter
    from torchvision.datasets import ImageFolder

    fields = {"image": RGBImageField(write_mode="jpg"), "label": IntField()}
    writer = DatasetWriter(str(out / "images.beton"), fields, num_workers=task.workers)
    writer.from_indexed_dataset(ImageFolder(str(task.folder / "files")))


def batches(task: Task) -> Iterator[Batch]:
    import numpy as np
    from ffcv.fields.basics import IntDecoder
    from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import RandomHorizontalFlip, Squeeze, ToTensor, ToTorchImage

    size = (IMAGE_SIZE_PX, IMAGE_SIZE_PX)
    order = np.arange(task.samples, dtype=np.uint64)
    loader: Any = Loader(
        str(task.folder / "ffcv" / "images.beton"),
        batch_size=task.batch_size,
        num_workers=task.workers,
        order=OrderOption.RANDOM,
        os_cache=True,
        indices=np.tile(order, ENDLESS_EPOCHS) if task.endless else order,
        drop_last=False,
        pipelines={
            "image": [
                RandomResizedCropRGBImageDecoder(size),
                RandomHorizontalFlip(),
                ToTensor(),
                ToTorchImage(),
            ],
            "label": [IntDecoder(), ToTensor(), Squeeze(1)],
        },
    )
    yield from loader


PEERS = {
    "ffcv": Peer(
        name="ffcv",
        batches=batches,
        write=write,
        stored="ffcv",
        packages=(*TORCH, "ffcv"),
        system=("g++", "pkg-config", "libopencv-dev", "libturbojpeg0-dev"),
        pixels="recoded, by area",
    )
}
