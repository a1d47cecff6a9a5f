"""The directory of a run: its files, and which directory a run uses."""

import csv
import itertools
import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any

from pipeline.errors import DataError, MisuseError
from pipeline.printable import defused, printable
from pipeline.storage.folder_kinds import METRICS_NAME
from pipeline.storage.plain_files import read_plain
from trainer.config import RunConfig
from trainer.files import (
    BEST_NAME,
    CHECKPOINT_NAME,
    KEPT_PATTERN,
    MODEL_FILE_NAME,
    PARTIAL_SUFFIX,
    TRACE_NAME,
    replace_text,
    replaced,
    resume_advice,
)
from trainer.run.run_lock import LOCK_NAME, lock_run
from trainer.run.trackers.mlflow import MLFLOW_ID_NAME
from trainer.run.trackers.tensorboard import TENSORBOARD_NAME
from trainer.run.trackers.wandb import WANDB_ID_NAME, WANDB_NAME

RUNS = Path("runs")
CONFIG_NAME = "config.json"
BAD_SAMPLES_NAME = "bad_samples.csv"
# Of an evaluation.
CLASS_SCORES_NAME, TARGET_SCORES_NAME = "per_class.csv", "per_target.csv"
CONFUSION_NAME, PAIRS_NAME = "confusion.png", "confusion.csv"
WORST_CHART_NAME, WORST_NAME = "worst.png", "worst.csv"
NONFINITE_NAME = "nonfinite.csv"
TRAIN_BATCH_NAME = "train_batch.png"
# Of --find-lr: a run may follow in the same directory.
FIND_LR_CHART, FIND_LR_TABLE = FIND_LR_NAMES = ("find_lr.png", "find_lr.csv")
RUN_FILES = (
    *(CONFIG_NAME, METRICS_NAME, BAD_SAMPLES_NAME, NONFINITE_NAME),
    *(CLASS_SCORES_NAME, TARGET_SCORES_NAME, CONFUSION_NAME, PAIRS_NAME),
    *(WORST_CHART_NAME, WORST_NAME),
    *(CHECKPOINT_NAME, BEST_NAME, KEPT_PATTERN),
    *(TENSORBOARD_NAME, WANDB_NAME, WANDB_ID_NAME, MLFLOW_ID_NAME),
    *(TRACE_NAME, TRAIN_BATCH_NAME, MODEL_FILE_NAME),
)


@dataclass(frozen=True, kw_only=True)
class RunDir:
    """Directory of a run, and the checkpoint that it resumes from; None for a new run."""

    path: Path
    resume_from: Path | None = None

    @property
    def checkpoint(self) -> Path:
        """The newest checkpoint of the run."""
        return self.path / CHECKPOINT_NAME


def open_run_dir(config: RunConfig) -> tuple[RunDir, IO[bytes]]:
    """``resolve_run_dir``, and the lock of the directory, which ends when the file is closed.

    Raises ``DataError`` also if another process trains in it.
    """
    path = resolve_run_dir(config).path
    lock = lock_run(path)
    try:
        # What the directory holds is looked at under the lock.
        return resolve_run_dir(replace(config, out=str(path))), lock
    except BaseException:
        lock.close()
        raise


def check_run_dir(config: RunConfig) -> None:
    """Raise the errors of ``resolve_run_dir`` about a directory or checkpoint that `config` names;
    creates nothing."""
    if config.out or not _is_by_out(config):
        resolve_run_dir(config, create=False)


def resolve_run_dir(config: RunConfig, *, create: bool = True) -> RunDir:
    """Choose the directory by --out and --resume, and create it.

    Raises ``MisuseError`` if the directory holds another run or other files.
    """
    by_out = _is_by_out(config)
    try:
        run_dir = _resolve_by_out(config) if by_out else _resolve_by_checkpoint(config)
        if create:
            run_dir.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        path = config.out or error.filename
        raise DataError(
            f"Cannot create or read {path} ({error.strerror}): give another --out."
        ) from error
    return run_dir


def _is_by_out(config: RunConfig) -> bool:
    """Whether --out rather than the path in --resume names the directory."""
    return config.resume in ("auto", "never")


def checkpoint_to_resume(config: RunConfig) -> Path | None:
    """The checkpoint that a run by `config` resumes from, None for a new run; creates nothing.

    Raises ``MisuseError`` if --resume names none.
    """
    if not _is_by_out(config):
        return _resolve_by_checkpoint(config).resume_from
    path = Path(config.out) if config.out else _restarted_directory()
    if config.resume == "never" or path is None:
        return None
    checkpoint = RunDir(path=path).checkpoint
    return checkpoint if checkpoint.exists() else None


def _resolve_by_checkpoint(config: RunConfig) -> RunDir:
    """Resume in the checkpoint's own directory, or in a new one."""
    checkpoint = Path(config.resume)
    if checkpoint.is_dir():
        checkpoint = checkpoint / CHECKPOINT_NAME
    if not checkpoint.is_file():
        raise MisuseError(f"--resume {config.resume}: there is no checkpoint {checkpoint}.")
    path = Path(config.out) if config.out else checkpoint.parent
    if path.resolve() != checkpoint.parent.resolve():
        _require_unused(path)
        _require_run_files_only(path)
    return RunDir(path=path, resume_from=checkpoint)


def _resolve_by_out(config: RunConfig) -> RunDir:
    """Use --out, the directory of the run that torchrun restarts, or a new one."""
    path = Path(config.out) if config.out else _restarted_directory()
    if path is None:
        if int(os.environ.get("GROUP_WORLD_SIZE", "1")) > 1:
            raise MisuseError(
                "Several nodes need --out with a directory on a disk that all nodes share: a "
                "restarted node resumes from it."
            )
        return RunDir(path=_fresh_directory())
    run_dir = RunDir(path=path)
    if config.resume == "never":
        _require_unused(path)
    elif run_dir.checkpoint.exists():
        return RunDir(path=path, resume_from=run_dir.checkpoint)
    _require_run_files_only(path)
    return run_dir


def launch_id() -> str | None:
    """Identifies the torchrun that started this process, also after a restart; None without it."""
    run_id = os.environ.get("TORCHELASTIC_RUN_ID")
    return f"{socket.gethostname()}-{os.getppid()}" if run_id == "none" else run_id


def _restarted_directory() -> Path | None:
    """The newest run of this torchrun if it has restarted its ranks (--max-restarts)."""
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        return None
    for path in sorted(RUNS.glob(f"*/{CONFIG_NAME}"), reverse=True):
        with suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
            if json.loads(read_plain(path))["resolved"]["launch"] == launch_id():
                return path.parent
    return None


def _fresh_directory() -> Path:
    """A new directory, which no other process gets. Raises ``OSError``."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    RUNS.mkdir(exist_ok=True)
    for number in itertools.count(1):
        directory = RUNS / (f"{stamp}-{number}" if number > 1 else stamp)
        with suppress(FileExistsError):
            directory.mkdir()
            return directory
    raise AssertionError


def _require_run_files_only(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise MisuseError(f"--out {directory} is a file: give a directory.")
    for entry in sorted(directory.glob("*")):
        # A killed process leaves a partial file that was to replace another, and its lock.
        is_run_file = any(fnmatch(entry.name, name) for name in (*RUN_FILES, *FIND_LR_NAMES))
        is_left_over = entry.suffix == PARTIAL_SUFFIX or entry.name == LOCK_NAME
        if not is_run_file and not is_left_over:
            raise MisuseError(
                f"--out {directory} holds {entry.name}, which is not a file of a run: give a new "
                f"or empty directory, or one of a run."
            )


def find_run_file(directory: Path) -> str | None:
    """The name of a file of a run in `directory`, None if it holds no run."""
    return next((name for name in RUN_FILES if any(directory.glob(name))), None)


def _require_unused(directory: Path) -> None:
    if name := find_run_file(directory):
        raise MisuseError(
            f"{directory} already holds a run ({name}): give another --out, or resume it with "
            f"--out {directory} --resume auto."
        )


def write_config(directory: Path, config: Mapping[str, Any]) -> None:
    """Write config.json: the settings of the run and what was derived from them."""
    text = json.dumps(config, indent=1, ensure_ascii=False) + "\n"
    replace_text(directory / CONFIG_NAME, text, resume_advice(directory))


def write_model_file(directory: Path, code: bytes) -> None:
    """Write model.py, a copy of the file of --model, byte for byte."""
    path = directory / MODEL_FILE_NAME
    with replaced(path, resume_advice(directory)) as partial:
        partial.write_bytes(code)


def write_rows(path: Path, rows: Iterable[Iterable[str]], advice: str | None = None) -> None:
    """Write `rows` of texts, the header first, as CSV for people. `advice` is what to do if the
    file can't be written, by default ``resume_advice``."""
    with (
        replaced(path, advice or resume_advice(path.parent)) as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows(defused(map(printable, row)) for row in rows)
