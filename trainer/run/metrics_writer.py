"""Writers of a run's records: metrics.jsonl and TensorBoard."""

import json
import time
from pathlib import Path

from trainer.checkpoints.checkpoint_file import PARTIAL_SUFFIX, write_error
from trainer.run.metrics_reader import KEYS, METRICS_NAME, Record

TENSORBOARD_NAME = "tensorboard"


class MetricsFile:
    """Appends records to metrics.jsonl and flushes each line.

    On opening, records beyond `position` are dropped: a run that was killed after its last
    checkpoint repeats those steps. A summary is also dropped, since it must come last.

    Args:
        samples: samples per epoch.

    Attributes:
        records: all records in the file.
    """

    def __init__(self, directory: Path, *, samples: int, position: int) -> None:
        self._path = directory / METRICS_NAME
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else ()
        parsed = (_parse_kept(line, position) for line in lines)
        self.records = [record for record in parsed if record is not None]
        if lines:
            partial = self._path.with_suffix(PARTIAL_SUFFIX)
            partial.write_text("".join(map(_to_line, self.records)), encoding="utf-8")
            partial.replace(self._path)
        self._samples = samples
        last = self.records[-1] if self.records else {"process": -1, "elapsed_seconds": 0.0}
        self._process = last["process"] + 1
        self._started = time.perf_counter() - last["elapsed_seconds"]
        self._file = self._path.open("a", encoding="utf-8")

    def new_record(self, kind: str, *, position: int) -> Record:
        """The fields that all records have, for one at `position`."""
        return {
            "kind": kind,
            "time": time.time(),
            "process": self._process,
            "elapsed_seconds": time.perf_counter() - self._started,
            "position": position,
            "epoch": position / self._samples,
        }

    def write(self, record: Record) -> None:
        """Append `record`. Raises ``DataError`` if it cannot be written."""
        try:
            self._file.write(_to_line(record))
            self._file.flush()
        except OSError as error:
            raise write_error(self._path, error) from error
        self.records.append(record)

    def close(self) -> None:
        self._file.close()


def _to_line(record: Record) -> str:
    return json.dumps(record) + "\n"


def _parse_kept(line: str, position: int) -> Record | None:
    """The record in `line`; None if it is invalid, a summary, or beyond `position`."""
    try:
        record: Record = json.loads(line)
        is_kept = int(record["position"]) <= position and record["kind"] != "summary"
        return record if is_kept and record.keys() >= set(KEYS) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class TensorBoard:
    """Writes the numbers of records as TensorBoard events in the run's directory.

    Events beyond `position` are hidden, like the records that ``MetricsFile`` drops.
    """

    def __init__(self, directory: Path, *, position: int) -> None:
        # Optional dependency that takes a second to import.
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(directory / TENSORBOARD_NAME, purge_step=position + 1)

    def write(self, record: Record) -> None:
        """Add each number of `record` as kind/name, at its position and time."""
        for name, value in record.items():
            if name not in ("time", "position") and isinstance(value, int | float):
                self._writer.add_scalar(
                    f"{record['kind']}/{name}",
                    value,
                    global_step=record["position"],
                    walltime=record["time"],
                )
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
