"""torch's DataLoader on an ImageFolder: a file for each image, persistent workers.

Most run in our environment, since their virtualenv would have the same versions.
Pixels: equal for PIL, tensors and TorchCodec; see ``transforms.opencv``.
"""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peers.contract import EQUAL, TORCH, Batch, Peer, Task, endless_order
from benchmarks.peers.transforms import opencv, pil, tensor, torchcodec


class Order:
    """An endless sampler."""

    def __init__(self, samples: int) -> None:
        self._samples = samples

    def __iter__(self) -> Iterator[int]:
        return endless_order(self._samples)


def batches(task: Task, *, decode: Callable[[bytes], Any]) -> Iterator[Batch]:
    from torchvision.datasets import ImageFolder

    dataset = ImageFolder(
        str(task.folder / "files"), loader=lambda path: decode(Path(path).read_bytes())
    )
    yield from batches_of(dataset, task)


def batches_of(dataset: Any, task: Task) -> Generator[Batch]:
    """Batches of a ``torch.utils.data.Dataset`` of (image, label)."""
    from torch.utils.data import DataLoader

    order: dict[str, Any] = {"sampler": Order(task.samples)} if task.endless else {"shuffle": True}
    loader: Any = DataLoader(
        dataset,
        batch_size=task.batch_size,
        num_workers=task.workers,
        pin_memory=task.device == "cuda",
        **order,
    )
    for images, labels in loader:
        yield images.to(task.device, non_blocking=True), labels


PEERS = {
    f"torch-{key}": Peer(
        name=f"torch, {name}",
        batches=partial(batches, decode=decode),
        stored="files",
        packages=packages,
        pixels=pixels,
        on_gpu=pixels == EQUAL,
    )
    for key, name, decode, pixels, packages in (
        ("tensor", "tensors", tensor, EQUAL, ()),
        ("torchcodec", "TorchCodec", torchcodec, EQUAL, (*TORCH, "torchcodec")),
        ("pil", "PIL", pil, EQUAL, ()),
        ("cv2", "cv2", opencv, "rougher", ()),
    )
}
