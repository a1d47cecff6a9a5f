"""Utilization of a GPU's JPEG decoders, sampled by nvidia-smi in the background."""

import shutil
import statistics
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import torch

SAMPLE_MILLISECONDS = 100


class DecoderUtilization:
    """Samples the decoders of the GPU with this UUID; nothing without a UUID or nvidia-smi."""

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
        """Mean from 0 to 1 between two times of ``time.monotonic``; None if unknown."""
        samples = [share for moment, share in self._samples if start <= moment <= end]
        return statistics.mean(samples) if samples else None

    def _collect(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            if (share := parse_utilization(line)) is not None:
                self._samples.append((time.monotonic(), share))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def uuid_of(device: "torch.device") -> str | None:
    """The UUID of a GPU for nvidia-smi; None for a CPU."""
    if device.type != "cuda":
        return None
    import torch

    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"


def parse_utilization(line: str) -> float | None:
    """Parse a line of nvidia-smi in percent; None for "[N/A]" of a GPU without JPEG decoders."""
    try:
        return float(line) / 100
    except ValueError:
        return None
