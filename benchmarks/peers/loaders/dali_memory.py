"""The loader's graph without a loader, the ceiling: encoded images in memory, and crops that were
drawn before. It reads, draws and shuffles nothing while it runs."""

from collections.abc import Iterator

import numpy as np

from benchmarks.peers.contract import CEILING, IMAGE_SIZE_PX, Batch, Peer, Task


def batches(task: Task) -> Iterator[Batch]:
    import torch

    from pipeline import Dataset, PipelineConfig
    from pipeline.batches import graph_config
    from pipeline.dali.decode_graph import build_graph, source_images, source_outputs
    from pipeline.plan.plan import train_plan
    from pipeline.storage.reader import ShardReader
    from pipeline.watchdog import StallWatchdog

    dataset, device = Dataset(str(task.folder / "shards")), torch.device(task.device)
    config = PipelineConfig(threads=task.workers, image_size=IMAGE_SIZE_PX)
    index = dataset.split("train")
    plan = train_plan(
        index,
        config,
        lambda position: IMAGE_SIZE_PX,
        start=0,
        end=task.samples,
        global_batch_size=task.batch_size,
        rank=0,
        world_size=1,
    )
    graph = graph_config(dataset, config, device, task.batch_size, training=True)
    reader = ShardReader(index, verify=True, watchdog=StallWatchdog(0, rank=0))
    planned = [plan.batch_at(step) for step in range(plan.steps or 0)]
    stored = [source_images(reader.read(batch.samples)[0], graph) for batch in planned]
    reader.close()

    def source(step: int) -> tuple[object, ...]:
        if step == len(planned) and not task.endless:
            raise StopIteration
        index = step % len(planned)
        return source_outputs(stored[index], planned[index].parameters, graph)

    pipeline = build_graph(source, graph)
    labels = np.asarray(index.samples["label"])
    step = 0
    while task.endless or step < len(planned):
        (images,) = pipeline.run()
        yield (
            torch.utils.dlpack.from_dlpack(images.as_tensor()).permute(0, 3, 1, 2),
            torch.from_numpy(labels[planned[step % len(planned)].samples]),
        )
        step += 1


PEERS = {
    CEILING: Peer(name="our graph, from memory", batches=batches, stored="shards", on_gpu=True)
}
