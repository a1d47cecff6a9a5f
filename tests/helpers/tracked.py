"""What trackers have stored: W&B in the file of an offline run, MLflow in its store."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# W&B's file is a log of LevelDB: after W&B's own header, blocks that hold parts of records, each
# with a checksum, a length and a type.
_FILE_HEADER, _PART_HEADER, _BLOCK = 7, 7, 2**15
_ENDS_RECORD = (1, 4)


def wandb_records(folder: Path) -> Iterator[Any]:
    """The protobuf records of the W&B run in `folder`."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("*.wandb")
    content, place, parts = path.read_bytes(), _FILE_HEADER, b""
    while place + _PART_HEADER <= len(content):
        if _BLOCK - place % _BLOCK < _PART_HEADER:
            place += _BLOCK - place % _BLOCK
        size, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        begin = place + _PART_HEADER
        parts, place = parts + content[begin : begin + size], begin + size
        if kind in _ENDS_RECORD:
            record = Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def wandb_rows(folder: Path) -> list[dict[str, Any]]:
    """The history of the W&B run in `folder`, without what W&B itself adds."""
    rows = (record.history.item for record in wandb_records(folder) if record.HasField("history"))
    named = ({_name(item): json.loads(item.value_json) for item in row} for row in rows)
    return [{name: row[name] for name in row if not name.startswith("_")} for row in named]


def wandb_values(folder: Path, field: str) -> dict[str, Any]:
    """The last values of "config" or "summary" of the W&B run in `folder`."""
    updates = (getattr(record, field).update for record in wandb_records(folder))
    return {_name(item): json.loads(item.value_json) for update in updates for item in update}


def _name(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


def mlflow_run(uri: str, experiment: str) -> Any:
    """The only run of MLflow's `experiment`."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    (run,) = client.search_runs([found.experiment_id])
    return run


def mlflow_points(uri: str, run: Any) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of each metric of `run`, as they were logged."""
    from mlflow import MlflowClient

    client, points = MlflowClient(uri), {}
    for name in run.data.metrics:
        history = client.get_metric_history(run.info.run_id, name)
        points[name] = sorted((metric.step, metric.value) for metric in history)
    return points
