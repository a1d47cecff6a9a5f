"""Writers of a run's records: metrics.jsonl and TensorBoard."""

import json
import threading
import time
from pathlib import Path

from pipeline.errors import DataError
from pipeline.storage.folder_kinds import METRICS_NAME
from pipeline.storage.plain_files import read_plain
from trainer.files import replace_text, resume_advice, write_error
from trainer.run.metrics_reader import KEYS, NUMBERS, Record

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
        self._path, self._advice = directory / METRICS_NAME, resume_advice(directory)
        parsed = (_parse_kept(line, position) for line in _read_lines(self._path))
        self.records = [record for record in parsed if record is not None]
        # Also if nothing changes: what is opened below is then a file and no link.
        replace_text(self._path, "".join(map(_to_line, self.records)), self._advice)
        self._samples = samples
        last = self.records[-1] if self.records else {"process": -1, "elapsed_seconds": 0.0}
        self._process = int(last["process"]) + 1
        self._started = time.perf_counter() - last["elapsed_seconds"]
        # Without a buffer, which `close` would write again after an error.
        self._file = self._path.open("ab", buffering=0)

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
        rest = _to_line(record).encode()
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise write_error(self._path, error, self._advice) from error
        self.records.append(record)

    def close(self) -> None:
        self._file.close()


def _to_line(record: Record) -> str:
    return json.dumps(record) + "\n"


def _read_lines(path: Path) -> list[str]:
    try:
        return read_plain(path).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"Cannot read {path} ({error.strerror}): delete it.") from error


def _parse_kept(line: str, position: int) -> Record | None:
    """The record in `line`; None if it is invalid, a summary, or beyond `position`."""
    try:
        record: Record = json.loads(line)
        is_valid = isinstance(record["kind"], str) and _has_numbers(record)
        is_kept = 0 <= record["position"] <= position and record["kind"] != "summary"
        return record if is_valid and is_kept else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _has_numbers(record: Record) -> bool:
    names = (*KEYS[1:], *NUMBERS.get(record["kind"], ()))
    return all(isinstance(record[name], int | float) for name in names)


class TensorBoard:
    """Writes the numbers of records as TensorBoard events in the run's directory.

    Events beyond `position` are hidden, like the records that ``MetricsFile`` drops.
    """

    def __init__(self, directory: Path, *, position: int) -> None:
        # Optional dependency that takes a second to import.
        from torch.utils.tensorboard import SummaryWriter

        _silence_writer_threads()
        self._folder, self._advice = directory / TENSORBOARD_NAME, resume_advice(directory)
        if self._folder.is_symlink():
            raise DataError(
                f"{self._folder} is a link, which could lead anywhere: delete it, or give another "
                f"--out."
            )
        try:
            self._writer = SummaryWriter(self._folder, purge_step=position + 1)
        except OSError as error:
            raise write_error(self._folder, error, self._advice) from error

    def write(self, record: Record) -> None:
        """Add each number of `record` as kind/name, at its position and time. Raises ``DataError``
        if it cannot be written."""
        try:
            for name, value in record.items():
                if name not in ("time", "position") and isinstance(value, int | float):
                    self._writer.add_scalar(
                        f"{record['kind']}/{name}",
                        value,
                        global_step=record["position"],
                        walltime=record["time"],
                    )
            self._writer.flush()
        except OSError as error:
            raise write_error(self._folder, error, self._advice) from error

    def close(self) -> None:
        self._writer.close()


def _silence_writer_threads() -> None:
    """Keep tensorboard's thread from printing the traceback of an error of the disk: ``write``
    raises it."""
    before = threading.excepthook

    def report(failure: threading.ExceptHookArgs) -> None:
        is_writer = type(failure.thread).__module__.startswith("tensorboard")
        if not (is_writer and issubclass(failure.exc_type, OSError)):
            before(failure)

    threading.excepthook = report
