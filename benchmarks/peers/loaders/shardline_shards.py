"""shardline's own loader, as it comes: shuffled over all shards, every crc32 checked."""

from collections.abc import Iterator

from benchmarks.peers.loaders.contract import IMAGE_SIZE_PX, Batch, Task


def batches(task: Task) -> Iterator[Batch]:
    import torch

    from pipeline import Dataset, PipelineConfig, train_loader

    config = PipelineConfig(
        threads=task.workers,
        image_size=IMAGE_SIZE_PX,
        stall_timeout=0,  # it is stopped while others run
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
