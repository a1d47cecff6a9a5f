"""litdata on its own chunks, local, shuffled.

Pixels: equal; torchvision decodes the stored bytes.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.contract import TORCH, Batch, Peer, Task
from benchmarks.peers.transforms import tensor


def write(task: Task, out: Path) -> None:
    files = sorted(map(str, (task.folder / "files").glob("*/*")))
    optimize(_read, list(enumerate(files)), str(out), workers=task.workers)


def optimize(
    work: Callable[[Any], dict[str, Any]], inputs: list[Any], out: str, *, workers: int
) -> float:
    """Let LitData store the results of `work` on `inputs`; return the seconds that it took."""
    with tempfile.TemporaryDirectory() as cache:
        # LitData empties both folders first; by default they are "chunks" and "data" in the
        # system's temporary folder, even if other programs created them.
        os.environ["DATA_OPTIMIZER_CACHE_FOLDER"] = f"{cache}/chunks"
        os.environ["DATA_OPTIMIZER_DATA_CACHE_FOLDER"] = f"{cache}/data"
        import litdata

        started = time.perf_counter()
        litdata.optimize(
            fn=work,
            inputs=inputs,
            output_dir=out,
            chunk_bytes="64MB",
            num_workers=workers,
            start_method="fork",  # the default needs 10 s to start two workers
            verbose=False,
        )
        return time.perf_counter() - started


def _read(source: tuple[int, str]) -> dict[str, Any]:
    label, path = source
    return {"image": Path(path).read_bytes(), "label": label}


def batches(task: Task) -> Iterator[Batch]:
    from litdata import StreamingDataLoader, StreamingDataset

    class Images(StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, index: Any) -> tuple[Any, int]:
            stored = super().__getitem__(index)
            return tensor(stored["image"]), stored["label"]

    dataset = Images(str(task.folder / "litdata"), shuffle=True, drop_last=False)
    loader = StreamingDataLoader(
        dataset, batch_size=task.batch_size, num_workers=task.workers, persistent_workers=True
    )
    while True:
        yield from loader
        if not task.endless:
            return


PEERS = {
    "litdata": Peer(
        name="litdata, tensors",
        batches=batches,
        write=write,
        stored="litdata",
        packages=(*TORCH, "litdata"),
    )
}
