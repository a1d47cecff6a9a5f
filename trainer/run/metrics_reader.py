"""Reads metrics.jsonl; docs/metrics.md documents the records.

A run that was stopped and resumed has the same records as one that was not.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.storage.folder_kinds import METRICS_NAME, instead_of_run
from trainer.tasks.metric_names import METRIC_NAMES

Record = dict[str, Any]

# Fields of every record: its kind, the number of the process that wrote it, the run's progress, and
# the seconds of training so far.
KEYS = ("kind", "process", "position", "epoch", "elapsed_seconds")

# Sums and ratios of smaller numbers, and of larger ones than its inverse, are finite.
_MAX_NUMBER = 1e18


def _is_metric(value: Any) -> bool:
    """A number; the trainer may write nan."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and (isinstance(value, float) or abs(value) < _MAX_NUMBER)


def _is_amount(value: Any) -> bool:
    return _is_metric(value) and 0 <= value < _MAX_NUMBER


def _is_positive(value: Any) -> bool:
    return _is_amount(value) and value > 1 / _MAX_NUMBER


def _is_epoch(value: Any) -> bool:
    return _is_positive(value) or (_is_amount(value) and value == 0)


def _is_count(value: Any) -> bool:
    return _is_amount(value) and value == int(value)


Valid = Callable[[Any], bool]
_COMMON: dict[str, Valid] = {
    "process": _is_count,
    "position": _is_count,
    "epoch": _is_epoch,
    "elapsed_seconds": _is_amount,
}
# Further numbers of a record by its kind.
NUMBERS: dict[str, dict[str, Valid]] = {
    "train": {
        "images": _is_positive,
        "seconds": _is_positive,
        "loss": _is_metric,
        "learning_rate": _is_amount,
        "data_seconds_max": _is_amount,
        "memory_bytes": _is_amount,
        "bad_samples": _is_amount,
    },
    "evaluation": {"loss": _is_metric},
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
            f"{directory} holds no run ({METRICS_NAME} is missing): {instead_of_run(directory)}"
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
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: invalid JSON ({excerpt}): delete the line.") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: not a record ({excerpt}): delete the line.")
    if (key := _wrong_field(record)) is not None:
        state = f"can't be {repr(record[key])[:40]}" if key in record else "is missing"
        raise DataError(f"{where}: the field {key!r} {state}: delete the line.")
    return record


def _wrong_field(record: Record) -> str | None:
    """The first field that is missing or has a value that the trainer doesn't write."""
    kind = record.get("kind")
    if not isinstance(kind, str):
        return "kind"
    fields = _COMMON | NUMBERS.get(kind, {})
    if kind == "evaluation":
        fields |= {name: _is_metric for name in METRIC_NAMES if name in record}
    return next((name for name, is_valid in fields.items() if not is_valid(record.get(name))), None)
