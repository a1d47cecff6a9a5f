"""Weights & Biases (W&B). Its own environment variables say where it logs to."""

import os
import secrets
from collections.abc import Mapping
from typing import Any

from pipeline.errors import DataError
from trainer.run.metrics_reader import Record
from trainer.run.trackers.background import CLOSE_SECONDS
from trainer.run.trackers.sink import (
    KINDS,
    TrackedRun,
    last_positions,
    positioned_numbers,
    require_no_link,
    texts,
)
from trainer.run.trackers.stored_id import StoredId

WANDB_NAME, WANDB_ID_NAME = "wandb", "wandb.json"
# Modes that send to the server.
_ONLINE = ("online", "run", "shared")


class Wandb:
    """Logs to a run of W&B.

    W&B counts its own steps, one for each record, and drops what is logged at an earlier step. The
    x-axis is therefore a metric, the position, and not W&B's step. Offline, W&B begins a new folder
    with each process, and each holds the whole run: syncing the newest is enough.
    """

    title = "W&B"

    def __init__(self, run: TrackedRun) -> None:
        # Optional dependency that takes a second to import, which is not done in a thread: others
        # may import the same packages then.
        import wandb

        self._wandb, self._run = wandb, run
        require_no_link(run.directory / WANDB_NAME)
        self._stored_id = StoredId(run.directory, WANDB_ID_NAME)
        self._id = self._stored_id.read()
        self._tracked: Any = None

    def connect(self) -> Mapping[str, float]:
        """Begin or continue the run, as ``Tracker`` says. Raises ``DataError`` if nobody is logged
        in."""
        wandb = self._wandb
        mode = wandb.setup(wandb.Settings(silent=True)).settings.mode
        # Without this, wandb would ask on the terminal.
        if mode in _ONLINE and not wandb.login(prompt=False):
            raise DataError(
                "nobody is logged in: run wandb login, set WANDB_API_KEY, or set "
                "WANDB_MODE=offline and run wandb sync later"
            )
        if self._id is None:
            self._id = secrets.token_hex(8)
            self._stored_id.write(self._id)
        config = dict(self._run.config)
        run = wandb.init(
            id=self._id,
            resume="allow",
            name=self._run.name,
            config=config,
            dir=os.environ.get("WANDB_DIR") or str(self._run.directory),
            settings=wandb.Settings(
                console="off",
                silent=True,
                # Its own error comes first.
                finish_timeout=CLOSE_SECONDS - 1,
                finish_timeout_raises=True,
            ),
        )
        self._tracked = run
        # A resumed run has the server's config, with the values of its first process.
        run.config.update(config, allow_val_change=True)
        for kind in KINDS:
            run.define_metric(f"{kind}/*", step_metric=f"{kind}/position")
        return last_positions(run.summary) if run.resumed else {}

    def location(self) -> str:
        """The run's page; offline the folder to sync."""
        run = self._tracked
        if run.disabled:
            return "nowhere, for its mode is disabled"
        return str(run.settings.sync_dir if run.offline else run.url)

    def log(self, record: Record) -> None:
        """Log a record as a row of the history, the summary into W&B's summary."""
        values = positioned_numbers(record)
        if record["kind"] == "summary":
            self._tracked.summary.update(values | texts(record))
        else:
            self._tracked.log(values)

    def finish(self, *, is_complete: bool) -> None:
        """Upload the rest. Raises ``TimeoutError`` if this takes too long."""
        self._tracked.finish(exit_code=0 if is_complete else 1)
