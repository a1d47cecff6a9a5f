"""The records of metrics.jsonl: docs/metrics.md says what stands in them.

A record is plain data. Whoever draws or counts reads the file, so that a run that was stopped and
resumed looks like one that wasn't.
"""

import json
from pathlib import Path
from typing import Any

from pipeline.errors import DataError

METRICS_NAME = "metrics.jsonl"

Record = dict[str, Any]

# What every record has: its kind, the process that wrote it, where the run stood, and its seconds
# of training until then.
KEYS = ("kind", "process", "position", "epoch", "elapsed_seconds")

# Numbers that a record of a kind has beside these.
NUMBERS = {
    "train": (
        *("images", "seconds", "loss", "learning_rate"),
        *("data_seconds_max", "memory_bytes", "bad_samples"),
    ),
    "evaluation": ("loss",),
}


def read_records(directory: Path) -> list[Record]:
    """The records of the run in `directory`, at least one.

    Raises ``DataError`` if there is no run, nothing in its file, or a line that is no record. A
    last line without its end is being written, or was when the run was killed: left out.
    """
    path = directory / METRICS_NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"{directory} holds no run ({METRICS_NAME} is missing): give the folder that was the "
            f"trainer's --out."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"{path} can't be read ({reason}).") from error
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    if not lines:
        raise DataError(f"{path} is empty: the run has not come to its first --log-every steps.")
    return [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def _parse(line: str, where: str) -> Record:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: damaged ({line.strip()[:40]!r}): delete the line.") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: not a record ({line.strip()[:40]!r}): delete the line.")
    for key in (*KEYS[1:], *NUMBERS.get(str(record.get("kind")), ())):
        if not isinstance(record.get(key), int | float):
            raise DataError(f"{where}: the record has no number {key!r}: delete the line.")
    return record
