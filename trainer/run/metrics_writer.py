"""Writes metrics.jsonl."""

import json
import time
from pathlib import Path

from pipeline.errors import DataError
from pipeline.storage.folder_kinds import METRICS_NAME
from pipeline.storage.plain_files import read_plain
from trainer.files import replace_text, resume_advice, write_error
from trainer.run.metrics_reader import KEYS, NUMBERS, Record


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
