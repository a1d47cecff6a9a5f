"""Reads metrics.jsonl; docs/metrics.md documents the records.

A run that was stopped and resumed has the same records as one that was not.
"""

import json
from pathlib import Path
from typing import Any

from pipeline.errors import DataError

METRICS_NAME = "metrics.jsonl"

Record = dict[str, Any]

# Fields of every record: its kind, the number of the process that wrote it, the run's progress, and
# the seconds of training so far.
KEYS = ("kind", "process", "position", "epoch", "elapsed_seconds")

# Further numbers of a record by its kind.
NUMBERS = {
    "train": (
        *("images", "seconds", "loss", "learning_rate"),
        *("data_seconds_max", "memory_bytes", "bad_samples"),
    ),
    "evaluation": ("loss",),
}


def read_records(directory: Path) -> list[Record]:
    """Read the records, at least one, of the run in `directory`.

    Raises ``DataError`` if there is no run, no record, or an invalid line. An unfinished last line
    is skipped: the run is writing it, or was killed while writing it.
    """
    path = directory / METRICS_NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"{directory} holds no run ({METRICS_NAME} is missing): give the directory of a run, "
            f"--out of the trainer."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"Cannot read {path} ({reason}).") from error
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    if not lines:
        raise DataError(f"{path} is empty: the run has not yet logged (see --log-every).")
    return [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def _parse(line: str, where: str) -> Record:
    excerpt = repr(line.strip()[:40])
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: invalid JSON ({excerpt}): delete the line.") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: not a record ({excerpt}): delete the line.")
    for key in (*KEYS[1:], *NUMBERS.get(str(record.get("kind")), ())):
        if not isinstance(record.get(key), int | float):
            raise DataError(f"{where}: the record has no number {key!r}: delete the line.")
    return record
