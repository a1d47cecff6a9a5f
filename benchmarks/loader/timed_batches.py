"""Laps of batches without a model, with their waits, bytes and CPU time."""

import itertools
import statistics
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.loader.gpu_decoder_utilization import DecoderUtilization
from benchmarks.loader.stages import Opener
from benchmarks.measuring.laps import Lap, measure_lap, synchronize
from benchmarks.measuring.page_cache import disk_bytes, drop
from benchmarks.measuring.table import ColumnFormats

Integers = NDArray[np.int64]

COLUMNS: ColumnFormats = {
    "mb_per_second": ("MB/s", 1, ",.0f"),
    "images_per_cpu_second": ("images per CPU s", 1, ",.0f"),
    "cores_used": ("cores used", 1, ".2f"),
    "gpu_jpeg_decoder_use": ("GPU JPEG decoder", 1, ".0%"),
    "first_batch_seconds": ("first batch, ms", 1e3, ",.0f"),
    "batch_seconds_p50": ("batch p50, ms", 1e3, ",.1f"),
    "batch_seconds_p99": ("p99, ms", 1e3, ",.1f"),
}


@dataclass(frozen=True, kw_only=True)
class BatchesLap(Lap):
    """A lap, and the `bytes` of its images as stored.

    Attributes:
        first_batch_seconds: from opening to the first batch, before the lap.
        batch_seconds: wait for a batch, for each run of DALI: its batches, which arrive together,
            share the wait.
        disk_bytes: read from disks; None if unknown.
        decoder_use: mean utilization of the GPU's JPEG decoders, 0 to 1; None if unknown.
    """

    bytes: int
    first_batch_seconds: float
    batch_seconds: tuple[float, ...]
    disk_bytes: int | None
    decoder_use: float | None


@dataclass(frozen=True, kw_only=True)
class LoaderSpeed:
    """Seconds from opening a loader to its first batch, and images/s after it."""

    first_batch_seconds: float
    images_per_second: float


@dataclass(kw_only=True)
class TimedBatches:
    """A candidate: each call opens it at the same position, draws `prepared` batches, then measures
    a lap of at least `seconds`, and returns images/s.

    Attributes:
        stored_bytes: size of each sample of the split.
        prepared: batches that can be ready before the lap, and so are no work of it.
        group: batches that DALI decodes in one run; a lap has a multiple of it.
        cold: files to drop from the page cache before the lap, and after each pass over them.
    """

    open: Opener
    seconds: float
    stored_bytes: Integers
    batch_size: int
    prepared: int
    group: int
    device: torch.device
    decoder_utilization: DecoderUtilization
    cold: Sequence[Path] = ()
    laps: list[BatchesLap] = field(default_factory=list)

    def expected_seconds(self, speed: LoaderSpeed) -> float:
        """Duration of a call, if its batches come at this speed."""
        batch_seconds = self.batch_size / speed.images_per_second
        lap_seconds = max(self.seconds, self.group * batch_seconds)
        return speed.first_batch_seconds + (self.prepared + 1) * batch_seconds + lap_seconds

    def __call__(self) -> float:
        drop(self.cold)
        start = time.perf_counter()
        with closing(self.open(0)) as opened:
            batches = self._dropping(opened)
            next(batches)
            synchronize(self.device)
            first_batch_seconds = time.perf_counter() - start
            for _ in range(self.prepared):
                next(batches)
            self.laps.append(self._lap(batches, first_batch_seconds))
        return self.laps[-1].images_per_second

    def _lap(self, batches: Iterator[Integers], first_batch_seconds: float) -> BatchesLap:
        stored, waits = 0, []

        def images() -> Generator[int]:
            nonlocal stored
            while True:
                requested = time.perf_counter()
                group = list(itertools.islice(batches, self.group))
                waits.append((time.perf_counter() - requested) / self.group)
                stored += sum(int(self.stored_bytes[samples].sum()) for samples in group)
                yield sum(map(len, group))

        before, start = disk_bytes(), time.monotonic()
        lap = measure_lap(images(), self.seconds, partial(synchronize, self.device))
        after = disk_bytes()
        return BatchesLap(
            **vars(lap),
            bytes=stored,
            first_batch_seconds=first_batch_seconds,
            batch_seconds=tuple(waits),
            disk_bytes=None if after is None or before is None else after - before,
            decoder_use=self.decoder_utilization.between(start, time.monotonic()),
        )

    def _dropping(self, batches: Iterator[Integers]) -> Iterator[Integers]:
        """`batches`; drops the cold files after each pass over all samples."""
        since_dropped = 0
        for samples in batches:
            since_dropped += len(samples)
            if since_dropped >= len(self.stored_bytes):
                drop(self.cold)
                since_dropped = 0
            yield samples

    def figures(self, runs: int) -> dict[str, float | None]:
        """Of the last `runs` laps: rates of the totals, medians over laps, percentiles over all
        waits."""
        laps = self.laps[-runs:]
        seconds, images, cpu_seconds, stored = (
            sum(getattr(lap, name) for lap in laps)
            for name in ("seconds", "images", "cpu_seconds", "bytes")
        )
        p50, p99 = np.percentile([wait for lap in laps for wait in lap.batch_seconds], (50, 99))
        disk = [lap.disk_bytes for lap in laps if lap.disk_bytes is not None]
        use = [lap.decoder_use for lap in laps if lap.decoder_use is not None]
        return {
            "mb_per_second": stored / seconds / 1e6,
            "images_per_cpu_second": images / cpu_seconds,
            "cores_used": cpu_seconds / seconds,
            "gpu_jpeg_decoder_use": statistics.mean(use) if use else None,
            "first_batch_seconds": statistics.median(lap.first_batch_seconds for lap in laps),
            "batch_seconds_p50": float(p50),
            "batch_seconds_p99": float(p99),
            "disk_bytes_share": sum(disk) / stored if len(disk) == len(laps) else None,
        }
