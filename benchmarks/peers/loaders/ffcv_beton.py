"""ffcv on its own file, as its ImageNet example does: random order, the file in the page cache.

Pixels: ffcv stores JPEGs that it has coded anew (quality 90, chroma halved both ways) or raw
pixels, so PNGs too are JPEGs here, and resizes by OpenCV's INTER_AREA, which averages whole areas
where a window is made smaller. It decodes with libturbojpeg.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.loaders.contract import IMAGE_SIZE_PX, Batch, Task

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
