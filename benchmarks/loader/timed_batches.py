"""Runs of one contender that draws batches: what they gave, and what they took beside time."""

import itertools
import statistics
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.loader.gpu_decoder_utilization import DecoderUse
from benchmarks.loader.stages import Opener
from benchmarks.measuring.laps import Lap, lap
from benchmarks.measuring.page_cache import disk_bytes, drop
from benchmarks.measuring.table import ColumnFormats

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Run(Lap):
    """A lap, and `bytes` of its images as they are stored.

    Attributes:
        first_batch_seconds: from opening to the first batch, before the lap.
        batch_seconds: that a batch was waited for, of each DALI run: its batches, which come all at
            once, share the wait for it.
        disk_bytes: that disks read; None where unknown.
        decoder_use: mean use of the GPU's JPEG decoders, from 0 to 1; None where unknown.
    """

    bytes: int
    first_batch_seconds: float
    batch_seconds: tuple[float, ...]
    disk_bytes: int | None
    decoder_use: float | None


@dataclass(kw_only=True)
class TimedBatches:
    """A contender: each call opens it at the same position, draws what was prepared ahead, then
    measures a lap, and returns images/s.

    Attributes:
        stored_bytes: of each sample of the split.
        prepared: batches that may be ready when it is opened, so are no work of the lap.
        group: batches that DALI decodes in a run; a lap is of as many, or a multiple.
        cold: files to be dropped from the page cache before the run, and after each pass.
    """

    open: Opener
    seconds: float
    stored_bytes: Integers
    prepared: int
    group: int
    synchronize: Callable[[], None]
    decoder_use: DecoderUse
    cold: Sequence[Path] = ()
    runs: list[Run] = field(default_factory=list)

    def __call__(self) -> float:
        drop(self.cold)
        started = time.perf_counter()
        with closing(self.open(0)) as batches:
            drawn = self._counted(batches)
            next(drawn)
            self.synchronize()
            first_batch_seconds = time.perf_counter() - started
            for _ in range(self.prepared):
                next(drawn)
            self.runs.append(self._lap(drawn, first_batch_seconds))
        return self.runs[-1].images_per_second

    def _lap(self, drawn: Iterator[Integers], first_batch_seconds: float) -> Run:
        size, waits = 0, []

        def images() -> Generator[int]:
            nonlocal size
            while True:
                asked = time.perf_counter()
                batches = list(itertools.islice(drawn, self.group))
                waits.append((time.perf_counter() - asked) / self.group)
                size += sum(int(self.stored_bytes[samples].sum()) for samples in batches)
                yield sum(map(len, batches))

        read_before, began = disk_bytes(), time.monotonic()
        found = lap(images(), self.seconds, self.synchronize)
        read = disk_bytes()
        return Run(
            images=found.images,
            seconds=found.seconds,
            cpu_seconds=found.cpu_seconds,
            bytes=size,
            first_batch_seconds=first_batch_seconds,
            batch_seconds=tuple(waits),
            disk_bytes=None if read is None or read_before is None else read - read_before,
            decoder_use=self.decoder_use.between(began, time.monotonic()),
        )

    def _counted(self, batches: Iterator[Integers]) -> Iterator[Integers]:
        """The batches; what is to be cold is dropped whenever all samples have been drawn."""
        since_dropped = 0
        for samples in batches:
            since_dropped += len(samples)
            if since_dropped >= len(self.stored_bytes):
                drop(self.cold)
                since_dropped = 0
            yield samples

    def figures(self, runs: int) -> dict[str, float | None]:
        """Of the last `runs`: medians over runs, totals where they are rates, and percentiles over
        all that was waited for."""
        counted = self.runs[-runs:]
        seconds, images, cpu, size = (
            sum(getattr(run, name) for run in counted)
            for name in ("seconds", "images", "cpu_seconds", "bytes")
        )
        waits = [wait for run in counted for wait in run.batch_seconds]
        p50, p99 = (float(each) for each in np.percentile(waits, (50, 99)))
        disk = [run.disk_bytes for run in counted if run.disk_bytes is not None]
        use = [run.decoder_use for run in counted if run.decoder_use is not None]
        return {
            "mb_per_second": size / seconds / 1e6,
            "images_per_cpu_second": images / cpu,
            "cores_used": cpu / seconds,
            "gpu_jpeg_decoder_use": statistics.mean(use) if use else None,
            "first_batch_seconds": statistics.median(run.first_batch_seconds for run in counted),
            "batch_seconds_p50": p50,
            "batch_seconds_p99": p99,
            "disk_bytes_share": sum(disk) / size if len(disk) == len(counted) else None,
        }


COLUMNS: ColumnFormats = {
    "mb_per_second": ("MB/s", 1, ",.0f"),
    "images_per_cpu_second": ("images per CPU s", 1, ",.0f"),
    "cores_used": ("cores used", 1, ".2f"),
    "gpu_jpeg_decoder_use": ("GPU JPEG decoder", 1, ".0%"),
    "first_batch_seconds": ("first batch, ms", 1e3, ",.0f"),
    "batch_seconds_p50": ("batch p50, ms", 1e3, ",.1f"),
    "batch_seconds_p99": ("p99, ms", 1e3, ",.1f"),
}
