"""The same images twice: the files of a download by torch's DataLoader, and their shards by ours.

Both shuffle, crop and flip with torchvision's defaults, and deliver uint8 batches of the same size.
The DataLoader decodes with Pillow, as torchvision's ImageFolder does, and keeps its workers between
epochs.
"""

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.config import FROM_ENVIRONMENT, Measuring
from benchmarks.measuring.table import report
from benchmarks.measuring.text import figure
from benchmarks.peers.contract import Batch, Task
from benchmarks.peers.loaders import shardline_shards, torch_files
from benchmarks.peers.serve import measure
from benchmarks.peers.transforms import pil
from benchmarks.report.headline import as_times
from pipeline.errors import DataError
from pipeline.limits.cores import available_cores
from pipeline.options import COUNT, Bounds, Command, options, pick_fields, setting
from pipeline.storage.dataset import Dataset, SplitIndex
from pipeline.storage.sources import read_source_column

DOWNLOAD, SHARDS = "download, torch DataLoader", "shards, shardline"


@dataclass(frozen=True, kw_only=True)
class Comparison(Measuring):
    """Options of the comparison."""

    src: str = setting(
        "kaggle", "Folder of the download.", type=click.Path(exists=True, file_okay=False)
    )
    shards: str = setting("shards", "Directory that tools/shard wrote from --src.")
    batch_size: int = setting(32, "Images in a batch.", COUNT)
    threads: int | None = setting(
        None, "Threads of shardline, and workers of torch.  [default: number of cores]", COUNT
    )
    seconds: float = setting(0.5, "Duration of a repetition.", Bounds(low=0.01))
    drop_seconds: float = setting(
        0.3, "Unmeasured time before each repetition, for prefetched batches.", Bounds(low=0)
    )


class DownloadedImages:
    """Images of a split as a ``torch.utils.data.Dataset`` of (uint8 (3, size, size), label), read
    from the files of the download that the shards were made from.

    Raises ``DataError`` if a source of the shards is no file in the download.
    """

    def __init__(self, index: SplitIndex, download: Path, size_px: int) -> None:
        sources = read_source_column(index, "source").to_pylist()
        self.paths = [download / source for source in sources]
        self.labels = index.samples["label"].tolist()
        self.size_px = size_px
        # Shards of strangers may name any path.
        inside = download.resolve()
        for path in self.paths:
            if not (path.is_file() and path.resolve().is_relative_to(inside)):
                raise DataError(
                    f"{path} is no file in {download}, but the shards name it as a source: give "
                    f"their download by --src. Images in archives or tables can't be compared."
                )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[Any, int]:
        return pil(self.paths[number].read_bytes(), self.size_px), self.labels[number]


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@options(Comparison)
def main(**values: Any) -> None:
    """Compare how fast torch's DataLoader reads files and shardline the same images as shards."""
    comparison = pick_fields(Comparison, values)

    # torch takes seconds to import: --help doesn't wait for it.
    import torch

    from pipeline.config import PipelineConfig
    from pipeline.sizes import resolve_sizes

    dataset = Dataset(comparison.shards)
    index = dataset.split("train")
    task = Task(
        folder=Path(comparison.src),
        samples=len(index),
        batch_size=comparison.batch_size,
        workers=comparison.threads or available_cores(),
        device="cuda" if torch.cuda.is_available() else "cpu",
        image_size_px=resolve_sizes(PipelineConfig(), dataset.manifest).image_size_px,
    )
    images = DownloadedImages(index, task.folder, task.image_size_px)
    # In this order: the workers are forked before DALI has threads, which a fork does not copy.
    with (
        closing(torch_files.batches_of(images, task)) as download,
        closing(shardline_shards.batches_of(dataset, task)) as shards,
    ):
        candidates = {DOWNLOAD: download, SHARDS: shards}
        laps = {name: partial(rate, each, task, comparison) for name, each in candidates.items()}
        measured = alternate(laps, runs=comparison.runs, warmup=comparison.warmup)
    report(
        f"{task.samples:,} images at {task.image_size_px} px, batch {task.batch_size}, "
        f"{task.workers} threads, {task.device}",
        "images/s",
        measured,
        kind="benchmarks.demo.compare",
        facts={"settings": asdict(comparison), "workers": task.workers, "device": task.device},
        finding=f"{describe_gain(*measured)}.",
        output=comparison.output,
    )


def rate(batches: Iterator[Batch], task: Task, comparison: Comparison) -> float:
    """images/s of a lap."""
    lap = measure(
        batches,
        task,
        drop_seconds=comparison.drop_seconds,
        seconds=comparison.seconds,
        max_images=math.inf,
    )
    return lap["images"] / lap["seconds"]


def describe_gain(download: Measurement, shards: Measurement) -> str:
    """How many times as fast shards are, or that they are not measurably faster; no period."""
    times = ratio(shards, download)
    rates = f"{figure(shards.median)} instead of {figure(download.median)} images/s"
    if times.interval.low <= 1:
        return (
            f"shardline reads the shards not measurably faster than torch's DataLoader reads the "
            f"files of the download: {rates}, {times.interval} times as many"
        )
    return (
        f"shardline reads the shards {as_times(times.median)} as fast as torch's DataLoader reads "
        f"the files of the download: {rates}"
    )


if __name__ == "__main__":
    main()
