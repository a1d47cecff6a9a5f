"""The loader beside DALI's own webdataset reader: same shards, same operators, same windows.

Claim: the loader reaches at least 0.95 of the reader, though its samples come from anywhere in the
shards and the reader's in sequence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import numpy as np

from benchmarks.measure import alternate, lap, report
from pipeline.config import PipelineConfig
from pipeline.options import options, setting, take


@dataclass(frozen=True, kw_only=True)
class PeersBenchmark:
    batch_size: int = setting(64, "Images in a batch.")
    seconds: float = setting(3.0, "Length of a run.")
    runs: int = setting(9, "Runs that count.")


@click.command()
@options(PeersBenchmark, PipelineConfig)
def main(**values: Any) -> None:
    """Measure the loader against DALI's own reader, alternating, on the CPU."""
    import torch

    from pipeline.dataset import Dataset
    from pipeline.loaders import train_loader

    benchmark, config = take(PeersBenchmark, values), take(PipelineConfig, values)
    dataset = Dataset(config.shards)
    with train_loader(
        dataset,
        config,
        global_batch_size=benchmark.batch_size,
        device=torch.device("cpu"),
    ) as loader:
        contenders = {
            "DALI's reader, in sequence": dali_reader_batches(
                dataset, config, benchmark.batch_size
            ),
            "shardline, shuffled": (len(batch.samples) for batch in loader),
        }
        measurements = alternate(
            {name: partial(_rate, images, benchmark) for name, images in contenders.items()},
            runs=benchmark.runs,
        )
    report(
        "peers",
        "images/s",
        measurements,
        facts={"threads": config.resolved_threads, "batch_size": benchmark.batch_size},
    )


def _rate(images: Iterator[int], benchmark: PeersBenchmark) -> float:
    return lap(images, benchmark.seconds, synchronize=lambda: None).images_per_second


def dali_reader_batches(dataset: Any, config: PipelineConfig, batch_size: int) -> Iterator[int]:
    """Sizes of batches that come through ``fn.readers.webdataset`` and the graph's operators.

    Raises ``RuntimeError`` if the reader's labels are not those of the samples that the windows
    were drawn for.
    """
    import nvidia.dali.fn as fn
    import torch

    from pipeline.config import resolve_sizes
    from pipeline.decoding import graph_config
    from pipeline.graph import new_pipeline, transform
    from pipeline.manifest import index_name
    from pipeline.plan import draw_train_parameters

    index = dataset.split("train")
    paths = [dataset.directory / shard.name for shard in index.split.shards]
    image_size_px = resolve_sizes(config, dataset.manifest).image_size_px
    graph = graph_config(dataset, config, torch.device("cpu"), batch_size, training=True)

    def sequence(step: int) -> np.ndarray:
        return np.arange(step * batch_size, (step + 1) * batch_size)

    def parameters(step: int) -> tuple[np.ndarray, ...]:
        epochs, samples = np.divmod(sequence(step), len(index))
        drawn = draw_train_parameters(index, config, epochs, samples, image_size_px)
        return tuple(getattr(drawn, name) for name in graph.parameter_names)

    def outputs() -> tuple[Any, ...]:
        encoded, labels = fn.readers.webdataset(
            paths=[str(path) for path in paths],
            index_paths=[str(path.with_name(index_name(path.name))) for path in paths],
            ext=[";".join(dataset.manifest.image_components), "cls"],
        )
        drawn = fn.external_source(parameters, num_outputs=len(graph.parameter_names), batch=True)
        named = dict(zip(graph.parameter_names, drawn, strict=True))
        return transform(encoded, named, graph), labels

    pipeline = new_pipeline(outputs, graph)
    pipeline.build()
    step = 0
    while True:
        images, texts = pipeline.run()
        read = [int(bytes(text)) for text in map(np.asarray, texts)]
        if read != index.samples["label"][sequence(step) % len(index)].tolist():
            raise RuntimeError(f"DALI's reader gave other samples than expected in step {step}.")
        yield len(torch.utils.dlpack.from_dlpack(images.as_tensor()))
        step += 1


if __name__ == "__main__":
    main()
