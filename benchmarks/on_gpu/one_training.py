"""One training of fixed duration: ``python -m benchmarks.on_gpu.one_training OPTIONS``, JSON of the
trainer's options. The last line that it prints is its figures as JSON."""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training import rate
from pipeline.console import print_json
from pipeline.errors import DataError

SAMPLE_SECONDS = 0.1


class CpuClock(threading.Thread):
    """Samples the CPU seconds of this process with all its threads by wall time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._samples = [(time.time(), time.process_time())]

    def run(self) -> None:
        while True:
            time.sleep(SAMPLE_SECONDS)
            self._samples.append((time.time(), time.process_time()))

    def cores_between(self, start: float, end: float) -> float:
        """Mean number of busy cores between two times of ``time.time``."""
        times, cpu_seconds = zip(*self._samples, strict=True)
        before, after = np.interp((start, end), times, cpu_seconds)
        return float((after - before) / (end - start))


def measure_training(options: Mapping[str, Any]) -> dict[str, float]:
    """Figures of the intervals after the first."""
    from trainer.config import Settings
    from trainer.run.metrics_reader import read_records
    from trainer.train import run

    clock = CpuClock()
    clock.start()
    with tempfile.TemporaryDirectory() as out:
        run(Settings.from_options(**options, out=out))
        records = [each for each in read_records(Path(out)) if each["kind"] == "train"]
    return figures_of(records, clock)


def figures_of(records: Sequence[Mapping[str, Any]], clock: CpuClock) -> dict[str, float]:
    if len(records) < 2:
        raise DataError(f"The training has {len(records)} records, but 2 are needed: it was slow.")
    first, *later = records
    seconds = sum(record["seconds"] for record in later)
    return {
        "images_per_second": rate(records),
        "cores_used": clock.cores_between(first["time"], later[-1]["time"]),
        "data_share": sum(record["data_seconds"] for record in later) / seconds,
        "memory_bytes": later[-1]["memory_bytes"],
    }


if __name__ == "__main__":
    print_json(measure_training(json.loads(sys.argv[1])))
