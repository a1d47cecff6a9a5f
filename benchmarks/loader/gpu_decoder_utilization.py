"""How busy a GPU's JPEG decoders are, sampled by nvidia-smi while something else runs."""

import shutil
import statistics
import subprocess
import threading
import time
from typing import Self

SAMPLE_MILLISECONDS = 100


class DecoderUse:
    """Samples the decoders of the GPU with that UUID; without a UUID nothing is known."""

    def __init__(self, uuid: str | None) -> None:
        self._samples: list[tuple[float, float]] = []
        self._process: subprocess.Popen[str] | None = None
        if uuid is not None and shutil.which("nvidia-smi"):
            query = ("--query-gpu=utilization.jpeg", "--format=csv,noheader,nounits")
            self._process = subprocess.Popen(
                ["nvidia-smi", "-i", uuid, *query, "-lms", str(SAMPLE_MILLISECONDS)],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            threading.Thread(target=self._collect, daemon=True).start()

    def between(self, start: float, end: float) -> float | None:
        """Mean use from 0 to 1 between two times of ``time.monotonic``; None where unknown."""
        found = [use for moment, use in self._samples if start <= moment <= end]
        return statistics.mean(found) if found else None

    def _collect(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            if (use := parse_use(line)) is not None:
                self._samples.append((time.monotonic(), use))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def parse_use(line: str) -> float | None:
    """A line of nvidia-smi, in percent; None for "[N/A]", where the GPU has no such decoders."""
    try:
        return float(line) / 100
    except ValueError:
        return None
