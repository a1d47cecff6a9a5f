"""metrics.jsonl as rank 0 writes it."""

import json
import time
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from trainer.checkpoints.checkpoint_file import PARTIAL_SUFFIX
from trainer.run.metrics_reader import KEYS, METRICS_NAME, Record


class MetricsFile:
    """Appends to what the processes before this one wrote; each line is flushed.

    Lines beyond `position` are dropped first: a run that was killed after its last checkpoint
    makes those steps again. So is a summary, which is the whole run's and comes last.

    Attributes:
        records: all that the file holds.
    """

    def __init__(self, directory: Path, *, samples: int, position: int) -> None:
        path = directory / METRICS_NAME
        self.records: list[Record] = []
        if path.exists():
            partial = path.with_suffix(PARTIAL_SUFFIX)
            with partial.open("w", encoding="utf-8") as file:
                for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
                    record = _kept(line, position)
                    if record is not None:
                        file.write(line.rstrip("\n") + "\n")
                        self.records.append(record)
            partial.replace(path)
        self._samples = samples
        last = self.records[-1] if self.records else {"process": -1, "elapsed_seconds": 0.0}
        self._process = last["process"] + 1
        self._started = time.perf_counter() - last["elapsed_seconds"]
        self._path = path
        self._file = path.open("a", encoding="utf-8")

    def write(self, kind: str, *, position: int, **values: Any) -> Record:
        """Add a record of what the run reached at `position`."""
        record = {
            "kind": kind,
            "time": time.time(),
            "process": self._process,
            "elapsed_seconds": time.perf_counter() - self._started,
            "position": position,
            "epoch": position / self._samples,
            **values,
        }
        try:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        except OSError as error:
            raise DataError(
                f"{self._path} can't be written ({error.strerror}): make room, then go on with "
                f"--resume."
            ) from error
        self.records.append(record)
        return record

    def close(self) -> None:
        self._file.close()


def _kept(line: str, position: int) -> Record | None:
    try:
        record: Record = json.loads(line)
        kept = int(record["position"]) <= position and record["kind"] != "summary"
        return record if kept and record.keys() >= set(KEYS) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
