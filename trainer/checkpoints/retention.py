"""Checkpoints written beside the steps: the newest, some before it, and the best.

checkpoint.pt is the newest. checkpoint-<position>.pt are the last that were kept, the newest among
them by a link, and best.pt is the one with the best evaluation.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import torch

from pipeline.daemon_thread import DaemonThread
from pipeline.errors import DataError
from trainer.checkpoints.checkpoint_file import CHECKPOINT_NAME, PARTIAL_SUFFIX, write_checkpoint

BEST_NAME = "best.pt"
KEPT_PATTERN = "checkpoint-*.pt"


class Saver:
    """A thread that writes what it is given; errors come up at the next ``save`` or ``wait``.

    Args:
        keep: how many of the last checkpoints stay.
        minutes: of training after which ``is_due`` says so; 0: never.
        writes: on rank 0; elsewhere nothing is due or written.
    """

    def __init__(self, directory: Path, *, keep: int, minutes: float, writes: bool) -> None:
        self._directory, self._keep, self._writes = directory, keep, writes
        self._seconds = 60 * minutes
        self._saved = time.monotonic()
        self._worker = DaemonThread("checkpoint") if writes else None
        self._pending: Future[None] | None = None

    def is_due(self) -> bool:
        return self._writes and 0 < self._seconds <= time.monotonic() - self._saved

    def save(self, take: Callable[[], Mapping[str, Any]], *, best: bool) -> None:
        """Write what `take` returns, called at once, after the checkpoint before it is written."""
        self.wait()
        if self._worker:
            state = take()
            self._pending = self._worker.submit(lambda: self._write(state, best))
            self._saved = time.monotonic()

    def wait(self) -> None:
        """Until what was saved is on the disk. Raises ``DataError`` if it could not be written."""
        pending, self._pending = self._pending, None
        if pending:
            pending.result()

    def _write(self, state: Mapping[str, Any], best: bool) -> None:
        newest = self._directory / CHECKPOINT_NAME
        refuse_nonfinite(state, newest)
        write_checkpoint(newest, state)
        if best:
            _copy(newest, self._directory / BEST_NAME)
        kept = self._directory / f"checkpoint-{state['progress']['position']:012d}.pt"
        if self._keep > 1:
            _copy(newest, kept)
        earlier = sorted(self._directory.glob(KEPT_PATTERN), reverse=True)
        # Those beyond the position are of a run that went on from an earlier checkpoint.
        current = [path for path in earlier if path.name <= kept.name]
        for path in {*earlier} - {*current[: self._keep if self._keep > 1 else 0]}:
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            # What is on its way is written, whatever else went wrong.
            self.wait()
        except DataError:
            if kind is None:
                raise
        finally:
            if self._worker:
                self._worker.close()


def refuse_nonfinite(state: Mapping[str, Any], newest: Path) -> None:
    """``DataError`` if the weights hold nan or inf: the checkpoint before stays the last good."""
    for name, tensor in state["network"].items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DataError(
                f"{name} holds nan or inf at position {state['progress']['position']}, which is "
                f"not saved. {advice(newest)}"
            )


def advice(newest: Path) -> str:
    """How to go on after weights or loss became useless."""
    if not newest.exists():
        return "There is no earlier checkpoint: start anew with a lower --learning-rate."
    return (
        f"The last good checkpoint is {newest}: go on from it with a lower --learning-rate or "
        f"--precision fp32."
    )


def _copy(source: Path, target: Path) -> None:
    """Let `target` be what `source` is now, in one move, by a link where there are links."""
    partial = target.with_suffix(PARTIAL_SUFFIX)
    partial.unlink(missing_ok=True)
    try:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)
        partial.replace(target)
    except OSError as error:
        raise DataError(f"{target} can't be written ({error.strerror}): make room.") from error
    finally:
        # rename() of two links to one file does nothing and leaves both.
        partial.unlink(missing_ok=True)
