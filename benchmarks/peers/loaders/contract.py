"""What a loader is asked for, who takes part, and the check that it delivers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

IMAGE_SIZE_PX = 224

Batch = tuple[Any, Any]
EQUAL = "equal"


@dataclass(frozen=True, kw_only=True)
class Task:
    """
    Attributes:
        folder: holds one format of the images, as each loader stores it, in folders by the names of
            ``Peer.stored``.
        samples: how many there are; the label of each is its own, from 0.
        workers: threads or processes, whichever the loader decodes with.
        device: where batches are wanted, "cpu" or "cuda".
        endless: epoch after epoch, or one.
    """

    folder: Path
    samples: int
    batch_size: int
    workers: int
    device: str = "cpu"
    endless: bool = True


@dataclass(frozen=True, kw_only=True)
class Peer:
    """
    Attributes:
        module: in this package; its ``batches`` gets the task and `argument`, where there is one,
            and its ``write``, if there is one, stores the images for it.
        stored: the folder in ``Task.folder`` that it reads.
        packages: what its environment must have; none for those that run in ours.
        system: what those need that pip doesn't install, by the names of Debian's packages.
        pixels: EQUAL, or in what they differ.
        on_gpu: whether it makes sense to measure it there.
    """

    name: str
    module: str
    stored: str
    packages: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    argument: str | None = None
    pixels: str = EQUAL
    on_gpu: bool = False

    def batches(self, task: Task) -> Iterator[Batch]:
        given = () if self.argument is None else (self.argument,)
        found: Iterator[Batch] = self._module().batches(task, *given)
        return found

    @property
    def write(self) -> Callable[[Task, Path], None]:
        """Stores the images of a task in a new folder."""
        found: Callable[[Task, Path], None] = self._module().write
        return found

    def _module(self) -> Any:
        return import_module(f"benchmarks.peers.loaders.{self.module}")


TORCH = ("torch", "torchvision")
PEERS = {
    "shardline": Peer(name="shardline", module="shardline_shards", stored="shards", on_gpu=True),
    "dali-memory": Peer(
        name="DALI from memory",
        module="dali_memory",
        stored="shards",
        on_gpu=True,
    ),
    "dali-reader": Peer(name="DALI's reader", module="dali_reader", stored="shards", on_gpu=True),
    "torch-tensor": Peer(
        name="torch, tensors",
        module="torch_files",
        argument="tensor",
        stored="files",
        packages=TORCH,
        on_gpu=True,
    ),
    "torch-pil": Peer(
        name="torch, PIL",
        module="torch_files",
        argument="pil",
        stored="files",
        packages=TORCH,
        on_gpu=True,
    ),
    "torch-cv2": Peer(
        name="torch, cv2",
        module="torch_files",
        argument="opencv",
        stored="files",
        packages=TORCH,
        pixels="rougher",
    ),
    "webdataset": Peer(
        name="webdataset, PIL",
        module="webdataset_shards",
        argument="pil",
        stored="shards",
        packages=(*TORCH, "webdataset"),
    ),
    "webdataset-tensor": Peer(
        name="webdataset, tensors",
        module="webdataset_shards",
        argument="tensor",
        stored="shards",
        packages=(*TORCH, "webdataset"),
    ),
    "spdl": Peer(
        name="SPDL",
        module="spdl_files",
        stored="files",
        packages=("torch", "spdl"),
        system=("ffmpeg",),
        pixels="YUV resized",
    ),
    "streaming": Peer(
        name="streaming, tensors",
        module="streaming_mds",
        stored="mds",
        packages=(*TORCH, "mosaicml-streaming"),
    ),
    "litdata": Peer(
        name="litdata, tensors",
        module="litdata_chunks",
        stored="litdata",
        packages=(*TORCH, "litdata"),
    ),
    "ffcv": Peer(
        name="ffcv",
        module="ffcv_beton",
        stored="ffcv",
        packages=(*TORCH, "ffcv"),
        system=("g++", "pkg-config", "libopencv-dev", "libturbojpeg0-dev"),
        pixels="recoded, by area",
    ),
}


class NotDeliveredError(Exception):
    """A loader gave something else than it was asked for."""


def checked_size(batch: Batch, task: Task) -> int:
    """The size of a batch; raises ``NotDeliveredError`` if its images are not as asked for."""
    images, labels = batch
    wanted = (len(labels), 3, IMAGE_SIZE_PX, IMAGE_SIZE_PX)
    found = (tuple(images.shape), str(images.dtype), images.device.type)
    if found != (wanted, "torch.uint8", task.device):
        raise NotDeliveredError(f"a batch is {found}, not {(wanted, 'torch.uint8', task.device)}")
    return len(labels)


def check_epoch(batches: Iterator[Batch], task: Task) -> None:
    """Raises ``NotDeliveredError`` unless `batches` are one epoch, each image once, and no image
    comes out in one color; the last batch may go on with the next epoch's."""
    labels: list[int] = []
    for batch in batches:
        checked_size(batch, task)
        labels += [int(label) for label in batch[1]]
        flat = batch[0].flatten(1)
        if (flat.amin(1) == flat.amax(1)).any():
            raise NotDeliveredError("an image is one color throughout")
        if len(labels) >= task.samples:
            break
    if sorted(labels[: task.samples]) != list(range(task.samples)):
        raise NotDeliveredError(
            f"an epoch had {len(labels)} images, {len(set(labels))} of them different, of "
            f"{task.samples}"
        )
    if len(labels) > task.samples + task.batch_size:
        raise NotDeliveredError("an epoch went on")


def endless_order(samples: int) -> Iterator[int]:
    """One random order after the other."""
    import torch

    while True:
        yield from torch.randperm(samples).tolist()
