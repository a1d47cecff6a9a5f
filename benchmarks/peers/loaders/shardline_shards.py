"""shardline's loader with its defaults: shuffled over all shards, every crc32 checked."""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from benchmarks.peers.contract import OURS, Batch, Peer, Task

if TYPE_CHECKING:
    from pipeline import Dataset


def batches(task: Task) -> Iterator[Batch]:
    from pipeline import Dataset

    yield from batches_of(Dataset(str(task.folder / "shards")), task)


def batches_of(dataset: "Dataset", task: Task) -> Generator[Batch]:
    import torch

    from pipeline import PipelineConfig, train_loader

    config = PipelineConfig(
        threads=task.workers,
        image_size=task.image_size_px,
        stall_timeout=0,  # the process is suspended while others run
    )
    with train_loader(
        dataset,
        config,
        global_batch_size=task.batch_size,
        device=torch.device(task.device),
        end_position=None if task.endless else task.samples,
    ) as loader:
        for batch in loader:
            yield batch.images, batch.labels


PEERS = {OURS: Peer(name="shardline", batches=batches, stored="shards", on_gpu=True)}
