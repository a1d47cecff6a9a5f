"""The interface of a loader to measure, and checks that it delivers what was requested."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE_SIZE_PX = 224
OURS, CEILING = "shardline", "dali-memory"
TORCH = ("torch", "torchvision")
EQUAL = "equal"

Batch = tuple[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Task:
    """
    Attributes:
        folder: one format of the images, in a folder for each ``Peer.stored``.
        samples: number of images; each has a label of its own, from 0.
        workers: threads or processes, whichever the loader decodes with.
        device: "cpu" or "cuda": where batches end.
        endless: epoch after epoch instead of one.
        image_size_px: side of the delivered images.
    """

    folder: Path
    samples: int
    batch_size: int
    workers: int
    device: str = "cpu"
    endless: bool = True
    image_size_px: int = IMAGE_SIZE_PX


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A loader.

    Attributes:
        batches: yields (images, labels).
        stored: the folder in ``Task.folder`` that it reads.
        write: stores the images of a task in a new folder; None if tools/shard does.
        packages: that its virtualenv needs; a peer without any runs in ours.
        system: Debian packages that these need.
        pixels: EQUAL, or how its pixels differ.
        on_gpu: whether it can be measured on a GPU.
    """

    name: str
    batches: Callable[[Task], Iterator[Batch]]
    stored: str
    write: Callable[[Task, Path], None] | None = None
    packages: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    pixels: str = EQUAL
    on_gpu: bool = False


class NotDeliveredError(Exception):
    """A loader delivered other batches than requested."""


def checked_size(batch: Batch, task: Task) -> int:
    """The size of a batch; raises ``NotDeliveredError`` if its images have another shape, dtype or
    device than requested."""
    images, labels = batch
    size = task.image_size_px
    expected = ((len(labels), 3, size, size), "torch.uint8", task.device)
    actual = (tuple(images.shape), str(images.dtype), images.device.type)
    if actual != expected:
        raise NotDeliveredError(f"a batch is {actual}, not {expected}")
    return len(labels)


def check_epoch(batches: Iterator[Batch], task: Task) -> None:
    """Raise ``NotDeliveredError`` unless `batches` are one epoch with each image once and no image
    of a single color. The last batch may continue with the next epoch."""
    labels: list[int] = []
    for batch in batches:
        checked_size(batch, task)
        labels += [int(label) for label in batch[1]]
        pixels = batch[0].flatten(1)
        if (pixels.amin(1) == pixels.amax(1)).any():
            raise NotDeliveredError("an image has a single color")
        if len(labels) >= task.samples:
            break
    if sorted(labels[: task.samples]) != list(range(task.samples)):
        raise NotDeliveredError(
            f"an epoch had {len(labels)} images, {len(set(labels))} of them different, of "
            f"{task.samples}"
        )
    if len(labels) > task.samples + task.batch_size:
        raise NotDeliveredError("an epoch did not end")


def endless_order(samples: int) -> Iterator[int]:
    """One random permutation after the other."""
    import torch

    while True:
        yield from torch.randperm(samples).tolist()
