"""mosaicml-streaming on its own MDS files, local, shuffled by its default algorithm.

Pixels: equal; torchvision decodes the stored bytes faster than PIL, which "jpeg" columns use.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.contract import TORCH, Batch, Peer, Task
from benchmarks.peers.transforms import tensor

# No lap reaches the end of such an epoch.
ENDLESS_SAMPLES = 2_000_000


def write(task: Task, out: Path) -> None:
    from streaming import MDSWriter

    with MDSWriter(out=str(out), columns={"image": "bytes", "label": "int"}) as sink:
        for label, path in enumerate(sorted((task.folder / "files").glob("*/*"))):
            sink.write({"image": path.read_bytes(), "label": label})


def batches(task: Task) -> Iterator[Batch]:
    from streaming import StreamingDataLoader, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    class Images(StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, number: int) -> tuple[Any, int]:
            stored = super().__getitem__(number)
            return tensor(stored["image"]), stored["label"]

    clean_stale_shared_memory()
    dataset = Images(
        local=str(task.folder / "mds"),
        shuffle=True,
        batch_size=task.batch_size,
        epoch_size=ENDLESS_SAMPLES if task.endless else None,
    )
    yield from StreamingDataLoader(dataset, batch_size=task.batch_size, num_workers=task.workers)


PEERS = {
    "streaming": Peer(
        name="streaming, tensors",
        batches=batches,
        write=write,
        stored="mds",
        packages=(*TORCH, "mosaicml-streaming"),
    )
}
