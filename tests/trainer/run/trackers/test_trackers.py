"""TensorBoard, W&B and MLflow hold what metrics.jsonl holds, and never disturb a training."""

import json
import os
import re
import signal
from collections.abc import Iterator
from functools import partial
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trainer.train
from pipeline.errors import DataError, MisuseError
from tests.helpers.processes import exit_codes, lines, print_to, start_ranks
from tests.helpers.tracked import mlflow_points, mlflow_run, wandb_rows, wandb_values
from trainer.log_config import TRACKERS, LogConfig, is_installed
from trainer.loop import StepRecord
from trainer.run import run_logger
from trainer.run.trackers import background
from trainer.run.trackers.background import BackgroundSink
from trainer.run.trackers.mlflow import Mlflow
from trainer.run.trackers.sink import Sink, TrackedRun, numbers
from trainer.run.trackers.wandb import Wandb
from trainer.trained_run import open_run

SETTINGS = {"global_batch_size": 64, "log_every": 5, "threads": 1, "precision": "fp32"}
# Steps until the first evaluation, with which a checkpoint is saved, at half an epoch.
EVALUATED = 13
# Steps after the last checkpoint that the next process repeats, with other times.
REPEATED = 5
REPEATED_POSITION = 64 * (EVALUATED + REPEATED)
SAME_IN_BOTH = ("train/loss", "train/learning_rate", "train/epoch", "train/images")


def prepare(rank: int, *, environment: dict[str, str], output: Path, seconds: float) -> None:
    """Set the environment of a rank, and how long it waits for a tracker at its end."""
    os.environ |= environment | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    print_to(output)
    background.CLOSE_SECONDS = seconds


def prepare_to_die(rank: int, *, after: int, **preparation: Any) -> None:
    """Let the rank kill itself in a step, when the trackers have all records so far."""
    prepare(rank, **preparation)
    sinks: list[Sink] = []
    open_trackers, train_steps = run_logger.open_trackers, trainer.train.train_steps

    def remembered(*arguments: Any) -> list[Sink]:
        sinks.extend(open_trackers(*arguments))
        return sinks

    def dying(*arguments: Any, **settings: Any) -> Iterator[StepRecord]:
        for number, record in enumerate(train_steps(*arguments, **settings), start=1):
            if number == after:
                for sink in sinks:
                    if isinstance(sink, BackgroundSink):
                        sink._worker.submit(int).result()
                os.kill(os.getpid(), signal.SIGKILL)
            yield record

    run_logger.open_trackers, trainer.train.train_steps = remembered, dying


def mlflow_store(name: str, folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db" if name == "sqlite" else (folder / "mlruns").as_uri()


@pytest.mark.filterwarnings("ignore")  # MLflow's own
@pytest.mark.parametrize("store", ["folder", pytest.param("sqlite", marks=pytest.mark.long)])
def test_all_hold_the_same_numbers_after_a_kill_and_a_resume(
    store: str,
    digits_shards: Path,
    tmp_path: Path,
    loaded: ForkServerContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    pytest.importorskip("wandb")
    pytest.importorskip("mlflow")
    out, uri = tmp_path / "first", mlflow_store(store, tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    environment = {
        "HOME": str(tmp_path),
        "WANDB_MODE": "offline",
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_EXPERIMENT_NAME": "digits",
        "MLFLOW_ALLOW_FILE_STORE": "true",
    }
    ready = {"environment": environment, "output": tmp_path / "output.txt", "seconds": 60.0}
    dying = partial(prepare_to_die, after=EVALUATED + REPEATED + 1, **ready)
    settings = SETTINGS | dict.fromkeys(TRACKERS, True) | {"shards": str(digits_shards)}
    for preparation, kept in ((dying, 3), (partial(prepare, **ready), 2)):
        processes = start_ranks(
            loaded,
            1,
            prepare=preparation,
            **settings,
            out=str(out),
            epochs=1.0,
            val_every=0.5,
            keep_checkpoints=kept,
        )
        assert exit_codes(processes) == [-signal.SIGKILL if kept == 3 else 0]
    text = (tmp_path / "output.txt").read_text()
    assert text.count("W&B logs to ") == text.count("MLflow logs to ") == 2
    assert "does not take" not in text

    *measured, summary = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    assert REPEATED_POSITION in [record["position"] for record in lines(out, "train")]
    assert {record["process"] for record in measured} == {0, 1}
    events = accumulator.EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    run = mlflow_run(uri, "digits")
    metrics = mlflow_points(uri, run)
    for name in {name for record in measured for name in numbers(record)}:
        having = [record for record in measured if name in numbers(record)]
        points = [(record["position"], numbers(record)[name]) for record in having]
        shown = [(event.step, event.value) for event in events.Scalars(name)]
        assert shown == [(step, np.float32(value)) for step, value in points], name
        assert [step for step, _ in metrics[name]] == [step for step, _ in points], name
        for (step, told), (_, value) in zip(metrics[name], points, strict=True):
            if step != REPEATED_POSITION or name in SAME_IN_BOTH:
                assert told == value, (name, step)
    for name, value in numbers(summary).items():
        assert metrics[name] == [(summary["position"], value)]
        assert events.Scalars(name)[-1].value == np.float32(value)

    newest = out / "wandb" / "latest-run"
    assert wandb_rows(newest) == [
        {f"{record['kind']}/position": record["position"]} | numbers(record) for record in measured
    ]
    in_wandb = wandb_values(newest, "summary")
    assert numbers(summary).items() <= in_wandb.items()
    assert in_wandb["summary/ended_by"] == run.data.tags["summary/ended_by"] == "epochs"

    config = json.loads((out / "config.json").read_text())
    assert config.items() <= wandb_values(newest, "config").items()
    parameters = run.data.params
    assert config.keys() - {"resolved"} <= parameters.keys()
    assert parameters["resolved.task.task"] == "classification"
    # A parameter never changes, a tag does.
    assert (parameters["keep_checkpoints"], run.data.tags["keep_checkpoints"]) == ("3", "2")
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    # What a run logged to isn't needed to evaluate it.
    monkeypatch.setattr("trainer.log_config.find_spec", lambda package: None)
    assert open_run(out).settings.log == LogConfig(log_every=5, show_batch=0)


def test_a_server_that_does_not_answer_changes_nothing(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    """Nothing listens on port 9. W&B has a key in one run and none in the other."""
    pytest.importorskip("wandb")
    pytest.importorskip("mlflow")
    closed = "http://127.0.0.1:9"
    no_key = {"HOME": str(tmp_path), "WANDB_BASE_URL": closed, "MLFLOW_TRACKING_URI": closed}
    key = no_key | {"WANDB_API_KEY": 40 * "a"}
    processes = []
    for name, environment in {"without": {}, "no-key": no_key, "key": key}.items():
        settings = dict.fromkeys(("wandb", "mlflow"), bool(environment))
        output = tmp_path / f"{name}.txt"
        processes += start_ranks(
            loaded,
            1,
            prepare=partial(prepare, environment=environment, output=output, seconds=0.5),
            **SETTINGS | settings | {"shards": str(digits_shards)},
            out=str(tmp_path / name),
            epochs=0.1,
        )
    assert exit_codes(processes) == [0, 0, 0]
    weights = {}
    for name in ("without", "no-key", "key"):
        state = torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        weights[name] = state["network"]
        torch.testing.assert_close(weights[name], weights["without"], rtol=0, atol=0)
        text = (tmp_path / f"{name}.txt").read_text()
        said = 0 if name == "without" else 1
        assert text.count("W&B does not take the records (") == said
        assert text.count("MLflow does not take the records (Connection refused)") == said
        assert text.count("nobody is logged in: run wandb login") == (name == "no-key")
        # Nothing comes from the clients themselves.
        others = [line for line in text.splitlines() if "does not take" not in line]
        assert not re.search("wandb|mlflow|urllib|traceback", "\n".join(others), re.IGNORECASE)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_is_named_with_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.log_config.find_spec", lambda package: None)
    with pytest.raises(MisuseError, match=rf"^--{name}: .* pip install .*'\.\[{name}\]'"):
        LogConfig(**{name: True})
    assert not any(getattr(LogConfig(), other) for other in TRACKERS)


def test_a_folder_of_runs_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wandb_of_others" / "run-1").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    assert not is_installed("wandb_of_others")
    assert is_installed("json")


def test_a_link_of_somebody_else_is_not_written_to(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "wandb").symlink_to(tmp_path)
    run = TrackedRun(directory=tmp_path / "run", config={}, position=0, records=(), say=print)
    with pytest.raises(DataError, match="wandb is a link, which could lead anywhere"):
        Wandb(run)


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_mlflow_takes_any_config_and_begins_again_if_its_run_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    names = [f"class {number}" for number in range(2000)]
    ids, tags = [], []
    for process, epochs in enumerate((2, 3, 2, 2)):
        config = {"epochs": epochs, "names": names, "a, b?": {"c=d": None}}
        run = TrackedRun(directory=tmp_path, config=config, position=0, records=(), say=print)
        tracker = Mlflow(run)
        last = tracker.connect()
        assert last == dict.fromkeys(last, -1 if process in (0, 3) else 64)
        for kind in last:
            tracker.log({"kind": kind, "time": 1.0, "position": 64, "epoch": 1.0})
        tracker.finish(is_complete=False)
        ids.append(json.loads((tmp_path / "mlflow.json").read_text())["run_id"])
        stored = mlflow.get_run(ids[-1]).data
        assert stored.params["epochs"] == "2"
        assert stored.params["a_ b_.c_d"] == "None"
        assert stored.params["names"] == str(names)[:6000]
        tags.append({name: stored.tags[name] for name in stored.params.keys() & stored.tags.keys()})
        if process == 2:
            mlflow.delete_run(ids[-1])
    assert tags == [{}, {"epochs": "3"}, {"epochs": "2"}, {}]
    assert ids[0] == ids[1] == ids[2] != ids[3]
