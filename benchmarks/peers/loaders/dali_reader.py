"""DALI's webdataset reader, decoder and resize, with the crops of the loader; samples in stored
order."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.contract import IMAGE_SIZE_PX, Batch, Peer, Task


def batches(task: Task) -> Iterator[Batch]:
    """Raise ``RuntimeError`` if the reader delivers other samples than the crops were drawn for."""
    import nvidia.dali.fn as fn
    import torch

    from pipeline import Dataset, PipelineConfig
    from pipeline.batches import graph_config
    from pipeline.dali.decode_graph import decode_crops, new_pipeline, resize_with_dali
    from pipeline.plan.plan import draw_train_parameters
    from pipeline.storage.manifest import index_name

    dataset, device = Dataset(str(task.folder / "shards")), torch.device(task.device)
    config = PipelineConfig(threads=task.workers, image_size=IMAGE_SIZE_PX)
    index = dataset.split("train")
    paths = [task.folder / "shards" / shard.name for shard in index.split.shards]
    graph = graph_config(dataset, config, device, task.batch_size, training=True)

    def sequence(step: int) -> NDArray[np.int64]:
        return np.arange(step * task.batch_size, (step + 1) * task.batch_size)

    def parameters(step: int) -> tuple[Any, ...]:
        epochs, samples = np.divmod(sequence(step), len(index))
        drawn = draw_train_parameters(index, config, epochs, samples, IMAGE_SIZE_PX)
        return tuple(getattr(drawn, name) for name in graph.parameter_names)

    def outputs() -> tuple[Any, ...]:
        encoded, labels = fn.readers.webdataset(
            paths=[str(path) for path in paths],
            index_paths=[str(path.with_name(index_name(path.name))) for path in paths],
            ext=[";".join(dataset.manifest.image_components), "cls"],
        )
        drawn = fn.external_source(parameters, num_outputs=len(graph.parameter_names), batch=True)
        named = dict(zip(graph.parameter_names, drawn, strict=True))
        crops = decode_crops(encoded, named["start"], named["shape"], graph)
        return resize_with_dali(crops, named, graph.interpolation), labels

    pipeline = new_pipeline(outputs, graph)
    pipeline.build()
    step = 0
    while task.endless or step * task.batch_size < task.samples:
        images, texts = pipeline.run()
        labels = np.array([int(bytes(text)) for text in map(np.asarray, texts.as_cpu())])
        expected = index.samples["label"][sequence(step) % len(index)]
        if not np.array_equal(labels, expected):
            raise RuntimeError(f"DALI's reader delivered unexpected samples in step {step}.")
        yield (
            torch.utils.dlpack.from_dlpack(images.as_tensor()).permute(0, 3, 1, 2),
            torch.from_numpy(labels),
        )
        step += 1


PEERS = {"dali-reader": Peer(name="DALI's reader", batches=batches, stored="shards", on_gpu=True)}
