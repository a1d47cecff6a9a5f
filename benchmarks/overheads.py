"""Costs of the loader besides decoding: Python per batch, start, resume, memory of the index.

The datasets are fabricated: all rows of the index are the same small image, so that only the index
is large.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.measuring.alternate import alternate
from benchmarks.measuring.config import FROM_ENVIRONMENT
from benchmarks.measuring.table import report
from pipeline.child_process import module_variables
from pipeline.options import Command, options, pick_fields, setting
from pipeline.storage.manifest import MANIFEST_NAME, SAMPLE_DTYPE, Manifest, Shard, Split

BATCH_SIZE = 256
# DALI decodes so few pixels in no time.
SIDE_PX = 8
SMALL, LARGE = 1_000_000, 10_000_000
FAR = 10**9


@dataclass(frozen=True, kw_only=True)
class OverheadsBenchmark:
    runs: int = setting(7, "Measured repetitions of each configuration.")
    batches: int = setting(100, "Batches of a repetition.")


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@options(OverheadsBenchmark)
def main(**values: Any) -> None:
    """Measure the costs of the loader besides decoding, on fabricated indexes."""
    benchmark = pick_fields(OverheadsBenchmark, values)
    with tempfile.TemporaryDirectory() as folder:
        small, large = (fabricate(Path(folder) / str(count), count) for count in (SMALL, LARGE))
        report(
            f"Python per batch of {BATCH_SIZE}",
            "CPU ms",
            alternate(per_batch(small, benchmark.batches), runs=benchmark.runs),
            kind="benchmarks.overheads",
            facts={"samples": SMALL, "limit_ms": 1},
        )
        memory: dict[tuple[Path, int], list[float]] = defaultdict(list)

        def start(shards: Path, position: int) -> float:
            seconds, own_bytes = first_batch(shards, position)
            memory[shards, position].append(own_bytes)
            return seconds

        starts = {
            f"{SMALL:,} samples": partial(start, small, 0),
            f"{LARGE:,} samples": partial(start, large, 0),
            f"{LARGE:,} samples, resumed at {FAR:,}": partial(start, large, FAR),
        }
        rows = alternate(starts, runs=benchmark.runs, warmup=0)
        added_bytes = float(np.median(memory[large, 0]) - np.median(memory[small, 0]))
        report(
            "start to first batch, without imports",
            "s",
            rows,
            kind="benchmarks.overheads",
            facts={
                "mapped_bytes_per_sample": SAMPLE_DTYPE.itemsize,
                "own_bytes_per_sample": round(added_bytes / (LARGE - SMALL), 3),
            },
        )


def per_batch(shards: Path, batches: int) -> dict[str, Callable[[], float]]:
    """CPU milliseconds of the feed's thread for a batch, by part."""
    import torch

    from pipeline.build import TrainStream
    from pipeline.config import PipelineConfig
    from pipeline.dali.decode_graph import source_images, source_outputs
    from pipeline.plan.plan import PlannedBatch
    from pipeline.storage.dataset import Dataset
    from pipeline.storage.reader import ShardReader
    from pipeline.watchdog import StallWatchdog

    config, cpu = PipelineConfig(threads=1), torch.device("cpu")
    stream = TrainStream(Dataset(shards), config, global_batch_size=BATCH_SIZE, device=cpu)
    plan, index, graph = stream.plan(0), stream.context.index, stream.context.graph
    planned = plan.batch_at(0)
    reader = ShardReader(index, verify=True, watchdog=StallWatchdog(300, rank=0))
    images, _ = reader.read(planned.samples)
    buffer = images[0].base

    def feed(planned: PlannedBatch) -> None:
        source_outputs(source_images(images, graph), planned.parameters, graph)

    def read(_: int) -> None:
        reader.advise(planned.samples)
        reader.read(planned.samples, buffer)

    parts: dict[str, Callable[[int], Any]] = {
        "order and parameters": plan.batch_at,
        "hand-over": lambda _: feed(planned),
        "both": lambda step: feed(plan.batch_at(step)),
        "256 reads from the page cache, verified": read,
    }

    def measure(part: Callable[[int], Any]) -> float:
        start = time.thread_time()
        for step in range(batches):
            part(step)
        return (time.thread_time() - start) / batches * 1e3

    return {name: partial(measure, part) for name, part in parts.items()}


def first_batch(shards: Path, position: int) -> tuple[float, float]:
    """Seconds from opening the shards to the first batch in a new process, without imports, and the
    bytes of its own memory afterwards."""
    command = [sys.executable, "-P", "-c", _START, str(shards), str(position), str(BATCH_SIZE)]
    done = subprocess.run(
        command, env=module_variables(), check=True, capture_output=True, text=True
    )
    seconds, own_bytes = json.loads(done.stdout)
    return seconds, own_bytes


_START = """
import json, sys, time
from pathlib import Path
import torch
from pipeline import Dataset, PipelineConfig, train_loader

started = time.perf_counter()
loader = train_loader(
    Dataset(sys.argv[1]), PipelineConfig(threads=1), global_batch_size=int(sys.argv[3]),
    device=torch.device("cpu"), position=int(sys.argv[2]),
)
with loader:
    next(iter(loader))
    seconds = time.perf_counter() - started
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    (own,) = (int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))
print(json.dumps([seconds, own]))
"""


def fabricate(folder: Path, samples: int) -> Path:
    """Write a shard directory whose index has `samples` rows of the same image."""
    import cv2

    folder.mkdir()
    image = cv2.imencode(".png", np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8))[1].tobytes()
    (folder / "train-000000.tar").write_bytes(image)
    rows = np.zeros(samples, SAMPLE_DTYPE)
    rows["key"] = np.arange(samples)
    rows["size"], rows["crc32"] = len(image), zlib.crc32(image)
    rows["height"] = rows["width"] = SIDE_PX
    np.save(folder / "train.samples.npy", rows)
    digest = hashlib.sha256((folder / "train.samples.npy").read_bytes()).hexdigest()
    shard = Shard(
        name="train-000000.tar",
        samples=samples,
        bytes=len(image),
        sha256=hashlib.sha256(image).hexdigest(),
    )
    manifest = Manifest(
        task="classification",
        classes=("one",),
        labels=("one",),
        targets=(),
        splits={"train": Split(shards=(shard,), labeled=samples, class_counts=(samples,))},
        files={"train.samples.npy": digest},
        image_components=("png",),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        heights=(SIDE_PX,) * 3,
        widths=(SIDE_PX,) * 3,
        rejected=0,
        made_by={},
    )
    (folder / MANIFEST_NAME).write_text(manifest.to_json())
    return folder


if __name__ == "__main__":
    main()
