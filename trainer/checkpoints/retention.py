"""Which checkpoints are written and kept: the newest, some before it, and the best.

checkpoint.pt is the newest. checkpoint-<position>.pt are the latest ones, including a link to the
newest. best.pt is the checkpoint with the best evaluation.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import torch

from pipeline.daemon_thread import DaemonThread
from pipeline.errors import DataError
from pipeline.storage.file_systems import is_full
from trainer.checkpoints.checkpoint_file import link_file, write_checkpoint
from trainer.files import BEST_NAME, CHECKPOINT_NAME, KEPT_PATTERN


class CheckpointManager:
    """Writes checkpoints in a thread; the next ``save`` or ``wait`` raises its errors.

    Args:
        keep: number of latest checkpoints to keep.
        minutes: time after which ``is_due`` is True; 0: never.
        writes: True on rank 0; on other ranks nothing is due or written.
        at_start: what the thread does first.
    """

    def __init__(
        self,
        directory: Path,
        *,
        keep: int,
        minutes: float,
        writes: bool,
        at_start: Callable[[], None] | None = None,
    ) -> None:
        self._directory, self._keep, self._writes = directory, keep, writes
        self._seconds = 60 * minutes
        self._saved = time.monotonic()
        self._worker = DaemonThread("checkpoint", at_start=at_start) if writes else None
        self._pending: Future[None] | None = None

    def is_due(self) -> bool:
        """Whether `minutes` have passed since the last checkpoint."""
        return self._writes and 0 < self._seconds <= time.monotonic() - self._saved

    def save(self, take_snapshot: Callable[[], Mapping[str, Any]], *, best: bool) -> None:
        """Wait for the previous checkpoint, take a snapshot, and write it in the thread."""
        self.wait()
        if self._worker:
            state = take_snapshot()
            self._pending = self._worker.submit(lambda: self._write(state, best))
            self._saved = time.monotonic()

    def wait(self) -> None:
        """Wait until the last checkpoint is on disk. Raises ``DataError`` if writing failed."""
        pending, self._pending = self._pending, None
        if pending:
            pending.result()

    def finish(self) -> None:
        """``wait``, after a failure of the run: that of a checkpoint is not raised."""
        with suppress(DataError):
            self.wait()

    def _write(self, state: Mapping[str, Any], best: bool) -> None:
        newest = self._directory / CHECKPOINT_NAME
        require_finite(state, newest)
        kept = self._directory / f"checkpoint-{state['progress']['position']:012d}.pt"
        try:
            write_checkpoint(newest, state)
        except DataError as error:
            # Those that the new one makes superfluous may be what fills the disk.
            if not (is_full(error.__cause__) and self._delete(kept.name, self._keep - 1)):
                raise
            write_checkpoint(newest, state)
        if best:
            link_file(newest, self._directory / BEST_NAME)
        if self._keep > 1:
            link_file(newest, kept)
        self._delete(kept.name, self._keep if self._keep > 1 else 0)

    def _delete(self, last: str, keep: int) -> bool:
        """Delete all but the latest `keep` checkpoints up to the name `last`; whether there were
        some."""
        paths = sorted(self._directory.glob(KEPT_PATTERN), reverse=True)
        # Those beyond the position were saved before the run resumed from an earlier checkpoint.
        current = [path for path in paths if path.name <= last]
        superfluous = {*paths} - {*current[:keep]}
        for path in superfluous:
            path.unlink(missing_ok=True)
        return bool(superfluous)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self.wait()
            else:
                self.finish()
        finally:
            if self._worker:
                self._worker.close()


def require_finite(state: Mapping[str, Any], newest: Path) -> None:
    """Raise ``DataError`` if weights hold nan or inf, so that the previous checkpoint stays."""
    for name, tensor in state["network"].items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DataError(
                f"Weight {name} holds nan or inf at position {state['progress']['position']}, "
                f"which is not saved. {recovery_advice(newest)}"
            )


def recovery_advice(newest: Path) -> str:
    """How to continue after nan or inf in the loss or the weights."""
    if not newest.exists():
        return "There is no earlier checkpoint: start a new run with a lower --learning-rate."
    return (
        f"The last good checkpoint is {newest}: resume from it with a lower --learning-rate or "
        f"--precision fp32."
    )
