"""torch's DataLoader on an ImageFolder, each image a file, workers that stay.

Pixels: equal for PIL and tensors; see ``transforms.opencv``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.loaders.contract import Batch, Task, endless_order
from benchmarks.peers.loaders.transforms import DECODERS


class Order:
    """A sampler without an end."""

    def __init__(self, samples: int) -> None:
        self._samples = samples

    def __iter__(self) -> Iterator[int]:
        return endless_order(self._samples)


def batches(task: Task, decoder: str) -> Iterator[Batch]:
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    decode = DECODERS[decoder]
    dataset = ImageFolder(
        str(task.folder / "files"), loader=lambda path: decode(Path(path).read_bytes())
    )
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
