"""MLflow. Its own environment variables say where it logs to."""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from trainer.run.metrics_reader import Record
from trainer.run.trackers.sink import TrackedRun, last_positions, positioned_numbers, texts
from trainer.run.trackers.stored_id import StoredId

MLFLOW_ID_NAME = "mlflow.json"
# By default, MLflow tries for minutes before it raises an error.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
# MLflow cuts longer texts itself, or refuses them.
_NAME_CHARACTERS, _TEXT_CHARACTERS = 250, 6000


class Mlflow:
    """Logs to a run of MLflow: records as metrics whose step is the position, the config as
    parameters, texts as tags.

    MLflow's parameters never change: a setting that a resumed run has changed is a tag.
    """

    title = "MLflow"

    def __init__(self, run: TrackedRun) -> None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        # Imported here for the reason that `Wandb` has.
        import mlflow

        if "MLFLOW_LOGGING_LEVEL" not in os.environ:
            logging.getLogger("mlflow").setLevel(logging.ERROR)
        self._mlflow, self._run = mlflow, run
        self._stored_id = StoredId(run.directory, MLFLOW_ID_NAME)
        self._client: Any = None
        self._tracked: Any = None

    def connect(self) -> Mapping[str, float]:
        """Begin or continue the run, as ``Tracker`` says."""
        if self._client is None:
            self._client = self._mlflow.MlflowClient()
        if self._tracked is None:
            run_id = self._known_id()
            self._tracked = self._mlflow.start_run(run_id=run_id, run_name=self._run.name).info
        self._stored_id.write(self._tracked.run_id)
        data = self._client.get_run(self._tracked.run_id).data
        self._log_config(data.params, data.tags)
        return last_positions(data.metrics)

    def _known_id(self) -> str | None:
        """The id of the run to continue; None if this server has none, or it was deleted."""
        run_id = self._stored_id.read()
        if run_id is None:
            return None
        try:
            info = self._client.get_run(run_id).info
        except self._mlflow.MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return run_id if info.lifecycle_stage == "active" else None

    def _log_config(self, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Add what the run's `params` lack, and set a tag for what is not as they or `tags` say."""
        from mlflow.entities import Param, RunTag

        config = dict(_flat(self._run.config))
        added = [Param(name, text) for name, text in config.items() if name not in params]
        changed = [
            RunTag(name, text)
            for name, text in config.items()
            if name in params and text != tags.get(name, params[name])
        ]
        self._client.log_batch(self._tracked.run_id, params=added, tags=changed)

    def location(self) -> str:
        """The run, by its id and the id of its experiment."""
        return f"run {self._tracked.run_id} of experiment {self._tracked.experiment_id}"

    def log(self, record: Record) -> None:
        """Log a record, at its position and time."""
        from mlflow.entities import Metric, RunTag

        # In milliseconds.
        time, step = int(1000 * record["time"]), record["position"]
        values = positioned_numbers(record).items()
        metrics = [Metric(name, value, time, step) for name, value in values]
        tags = [RunTag(name, text) for name, text in texts(record).items()]
        self._client.log_batch(self._tracked.run_id, metrics=metrics, tags=tags)

    def finish(self, *, is_complete: bool) -> None:
        """Set the state of the run."""
        self._mlflow.end_run("FINISHED" if is_complete else "KILLED")


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Name and text of each value, parts of a value as name.part."""
    for key, value in config.items():
        # Of the characters that MLflow allows.
        name = re.sub(r"[^\w\-. :/]", "_", f"{prefix}{key}")[:_NAME_CHARACTERS]
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            yield name, str(value)[:_TEXT_CHARACTERS]
