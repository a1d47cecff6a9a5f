"""TensorBoard files, a trace and the summary of a run that is stopped and resumed."""

import gzip
import json
import signal
from pathlib import Path

import pytest
import torch

from tests.helpers.processes import lines
from tests.helpers.runs import stop_after, train
from trainer.files import TRACE_NAME
from trainer.loop import DATA_SPAN, StepRecord
from trainer.profiler import trace_steps


def steps_in(trace: Path) -> list[int]:
    with gzip.open(trace) as file:
        names = {event.get("name", "") for event in json.load(file)["traceEvents"]}
    assert {"aten::convolution", DATA_SPAN} <= names
    return sorted(int(name.split("#")[1]) for name in names if name.startswith("ProfilerStep#"))


def test_logs_of_a_stopped_and_resumed_run(
    digits_shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first process is stopped in its third traced step."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    settings = {"model": "squeezenet1_1", "tensorboard": True, "profile": True, "log_every": 4}
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        stop_after(patch, 15)
        train(digits_shards, tmp_path, steps=33, **settings)
    assert stopped.value.code == 128 + signal.SIGTERM
    # The profiler counts from 0; what follows the last step is saving.
    assert steps_in(tmp_path / TRACE_NAME) == [13, 14, 15]
    assert "Trace of 2 steps:" in capsys.readouterr().out

    train(digits_shards, tmp_path, steps=33, **settings)
    assert "Trace of 5 steps:" in capsys.readouterr().out
    assert steps_in(tmp_path / TRACE_NAME) == [13, 14, 15, 16, 17]
    intervals, (summary,) = lines(tmp_path, "train"), lines(tmp_path, "summary")
    assert [line["process"] for line in intervals] == [0] * 4 + [1] * (len(intervals) - 4)
    times = [line["elapsed_seconds"] for line in [*intervals, summary]]
    assert times == sorted(times)
    assert all(line["memory_bytes"] > 2**26 for line in intervals)
    assert summary["total"]["images"] == 33 * 64
    assert summary["best_top1"] == lines(tmp_path, "evaluation")[-1]["top1"]

    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    losses = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert losses == [(line["position"], pytest.approx(line["loss"])) for line in intervals]
    assert events.Scalars("evaluation/top1")


def test_too_few_steps_for_a_trace(tmp_path: Path) -> None:
    record = StepRecord(
        position=8,
        images=8,
        loss=torch.tensor(1.0),
        learning_rate=0.1,
        data_seconds=0.0,
        compute_seconds=0.0,
    )
    messages: list[str] = []
    steps = trace_steps(iter([record] * 3), tmp_path / TRACE_NAME, messages.append)
    assert list(steps) == [record] * 3
    assert messages == ["--profile traces steps 14 to 18; there were only 3."]
    assert not (tmp_path / TRACE_NAME).exists()
