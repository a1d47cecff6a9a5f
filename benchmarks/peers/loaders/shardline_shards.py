"""shardline's loader with its defaults: shuffled over all shards, every crc32 checked."""

from collections.abc import Iterator

from benchmarks.peers.contract import IMAGE_SIZE_PX, OURS, Batch, Peer, Task


def batches(task: Task) -> Iterator[Batch]:
    import torch

    from pipeline import Dataset, PipelineConfig, train_loader

    config = PipelineConfig(
        threads=task.workers,
        image_size=IMAGE_SIZE_PX,
        stall_timeout=0,  # the process is suspended while others run
    )
    with train_loader(
        Dataset(str(task.folder / "shards")),
        config,
        global_batch_size=task.batch_size,
        device=torch.device(task.device),
        end_position=None if task.endless else task.samples,
    ) as loader:
        for batch in loader:
            yield batch.images, batch.labels


PEERS = {OURS: Peer(name="shardline", batches=batches, stored="shards", on_gpu=True)}
