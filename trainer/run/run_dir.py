"""The directory of a run: config.json, metrics.jsonl, checkpoint.pt."""

import csv
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pipeline.errors import DataError, MisuseError
from trainer.checkpoints.checkpoint_file import CHECKPOINT_NAME, PARTIAL_SUFFIX
from trainer.checkpoints.retention import BEST_NAME, KEPT_PATTERN
from trainer.config import RunConfig
from trainer.profiler import TRACE_NAME
from trainer.run.metrics_reader import METRICS_NAME
from trainer.run.tensorboard import TENSORBOARD_NAME

RUNS = Path("runs")
CONFIG_NAME = "config.json"
BAD_SAMPLES_NAME = "bad_samples.csv"
CONFUSION_NAME = "confusion.png"
NONFINITE_NAME = "nonfinite.csv"
RUN_FILES = (
    *(CONFIG_NAME, METRICS_NAME, BAD_SAMPLES_NAME, NONFINITE_NAME, CONFUSION_NAME),
    *(CHECKPOINT_NAME, BEST_NAME, KEPT_PATTERN),
    *(TENSORBOARD_NAME, TRACE_NAME),
)


@dataclass(frozen=True, kw_only=True)
class RunDir:
    """Where a run writes, and the checkpoint that it goes on from, None for a new run."""

    directory: Path
    resumed: Path | None

    @property
    def checkpoint(self) -> Path:
        return self.directory / CHECKPOINT_NAME


def resolve_run_dir(config: RunConfig) -> RunDir:
    """Follow --out and --resume, and make the directory.

    Raises ``MisuseError`` where two runs would mix.
    """
    if config.resume in ("auto", "never"):
        place = _place_by_out(config)
    else:
        checkpoint = Path(config.resume)
        if checkpoint.is_dir():
            checkpoint = checkpoint / CHECKPOINT_NAME
        if not checkpoint.is_file():
            raise MisuseError(f"--resume {config.resume}: there is no checkpoint {checkpoint}.")
        directory = Path(config.out) if config.out else checkpoint.parent
        if directory.resolve() != checkpoint.parent.resolve():
            _require_unused(directory)
            _require_run_files_only(directory)
        place = RunDir(directory=directory, resumed=checkpoint)
    try:
        place.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{place.directory} can't be made ({error.strerror}).") from error
    return place


def _place_by_out(config: RunConfig) -> RunDir:
    given = Path(config.out) if config.out else _restarted_directory()
    if given is None and int(os.environ.get("GROUP_WORLD_SIZE", "1")) > 1:
        raise MisuseError(
            "On several nodes --out has to name the run's directory, on a disk that all of them "
            "see: a node that is started again goes on from there."
        )
    if given is None:
        return RunDir(directory=_fresh_directory(), resumed=None)
    place = RunDir(directory=given, resumed=None)
    if config.resume == "never":
        _require_unused(place.directory)
    elif place.checkpoint.exists():
        return RunDir(directory=place.directory, resumed=place.checkpoint)
    _require_run_files_only(place.directory)
    return place


def launch() -> str | None:
    """The torchrun that started this process, the same when it starts it anew; None without."""
    run_id = os.environ.get("TORCHELASTIC_RUN_ID")
    return f"{socket.gethostname()}-{os.getppid()}" if run_id == "none" else run_id


def _restarted_directory() -> Path | None:
    """The newest run of this torchrun, where it has started its ranks anew (--max-restarts)."""
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        return None
    for path in sorted(RUNS.glob(f"*/{CONFIG_NAME}"), reverse=True):
        with suppress(OSError, ValueError, LookupError):
            if json.loads(path.read_text(encoding="utf-8"))["resolved"]["launch"] == launch():
                return path.parent
    return None


def _fresh_directory() -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    number = 1
    while (directory := RUNS / (f"{stamp}-{number}" if number > 1 else stamp)).exists():
        number += 1
    return directory


def _require_run_files_only(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise MisuseError(f"--out {directory} is a file: give a folder.")
    for entry in sorted(directory.glob("*")):
        # A killed process leaves a file that it was about to put in another's place.
        known = any(fnmatch(entry.name, name) for name in RUN_FILES)
        if not known and entry.suffix != PARTIAL_SUFFIX:
            raise MisuseError(
                f"--out {directory} holds something else ({entry.name}): give a new or empty "
                f"folder, or that of a run."
            )


def _require_unused(directory: Path) -> None:
    for name in RUN_FILES:
        if any(directory.glob(name)):
            raise MisuseError(
                f"{directory} already holds a run ({name}): give another --out, or go on with "
                f"it by --out {directory} --resume auto."
            )


def write_config(directory: Path, config: Mapping[str, Any]) -> None:
    text = json.dumps(config, indent=1, ensure_ascii=False) + "\n"
    (directory / CONFIG_NAME).write_text(text, encoding="utf-8")


def write_bad_samples(directory: Path, reasons: Mapping[str, str]) -> None:
    """bad_samples.csv: where each lies, and why it was replaced."""
    with (directory / BAD_SAMPLES_NAME).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("sample", "reason"))
        writer.writerows(sorted(reasons.items()))


def write_nonfinite(directory: Path, samples: Sequence[str]) -> None:
    """nonfinite.csv: where the samples lie of the step whose loss was nan or inf."""
    with (directory / NONFINITE_NAME).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows((name,) for name in ("sample", *samples))
