"""--monitor and --patience: which evaluation is the best, and when a run without gain ends."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import trainer.validation
from pipeline.errors import MisuseError
from tests.helpers.processes import lines
from tests.helpers.runs import GLOBAL_BATCH_SIZE, saved, stop_after, train
from tests.helpers.tiny_trainer import MODEL
from trainer.__main__ import main
from trainer.tasks.scores import Evaluation

SAMPLES = 1617  # of the training split
STEP = GLOBAL_BATCH_SIZE / SAMPLES
SETTINGS: dict[str, Any] = {"model": MODEL, "steps": 9, "val_every": STEP, "threads": 1}


def script_evaluations(monkeypatch: pytest.MonkeyPatch, values: Iterator[float]) -> None:
    """Let each evaluation give the next of `values` as top-1 and as log loss."""

    def evaluate(*arguments: Any, **named: Any) -> Evaluation:
        value = next(values)
        metrics = {"top1": value, "log_loss": value}
        return Evaluation(samples=180, loss=1.0, metrics=metrics)

    monkeypatch.setattr(trainer.validation, "evaluate", evaluate)


@pytest.mark.parametrize(
    ("monitor", "values"),
    [("top1", (0.5, 0.6, 0.55, 0.7, 0.7, 0.1, 0.9)), ("log_loss", (9, 8, 8, 4, 6, 5, 3))],
)
def test_ends_after_evaluations_without_gain_also_when_resumed(
    digits_shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    monitor: str,
    values: tuple[float, ...],
) -> None:
    settings = SETTINGS | {"monitor": monitor, "patience": 2}
    script_evaluations(monkeypatch, iter(values))
    whole = train(digits_shards, tmp_path / "whole", **settings)
    # The fourth is the best, the sixth the second without gain.
    assert (whole["progress"]["position"], whole["progress"]["best"][monitor]) == (
        6 * GLOBAL_BATCH_SIZE,
        values[3],
    )
    (summary,) = lines(tmp_path / "whole", "summary")
    assert (summary["ended_by"], summary["monitor"]) == ("patience", monitor)
    assert summary["best_epoch"] == pytest.approx(4 * STEP)
    best = torch.load(tmp_path / "whole" / "best.pt", weights_only=True)["progress"]
    assert best["position"] == 4 * GLOBAL_BATCH_SIZE
    text = " ".join(capsys.readouterr().out.split())
    assert f"Ended by --patience 2 at epoch {6 * STEP:.2f}: no evaluation has a better" in text
    assert f"at epoch {4 * STEP:.2f}, saved to" in text

    script_evaluations(monkeypatch, iter(values))
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        stop_after(patch, 5)
        train(digits_shards, tmp_path / "parts", **settings)
    assert saved(tmp_path / "parts")["progress"]["position"] == 5 * GLOBAL_BATCH_SIZE
    parts = train(digits_shards, tmp_path / "parts", **settings)
    assert parts["progress"] == whole["progress"]
    assert all(torch.equal(parts["network"][name], whole["network"][name]) for name in MODEL_PARTS)
    # It stays over, and continues with more patience.
    assert train(digits_shards, tmp_path / "parts", **settings)["progress"] == whole["progress"]
    more = train(digits_shards, tmp_path / "parts", **settings | {"patience": 3, "steps": 7})
    assert more["progress"]["best"][monitor] == values[6]


MODEL_PARTS = ("0.weight", "2.weight", "6.bias")


def test_the_best_checkpoint_is_that_of_the_lowest_loss(
    digits_shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = SETTINGS | {"steps": 4, "learning_rate": 0.5}
    state = train(digits_shards, tmp_path, monitor="log_loss", **settings)
    evaluations = lines(tmp_path, "evaluation")
    lowest = min(evaluations, key=lambda line: line["log_loss"])
    assert state["progress"]["best_position"] == lowest["position"]
    assert state["progress"]["best"]["roc_auc"] == lowest["roc_auc"]
    assert {"macro_f1", "balanced_accuracy", "quadratic_kappa", "top5"} <= lowest.keys()
    assert lowest["log_loss"] == lowest["loss"]
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["monitor"], config["resolved"]["task"]["best_by"]) == ("log_loss", "log_loss")
    output = capsys.readouterr().out
    assert "validation:  log loss " in output and "best log loss" in output
    # The best so far stays, and is compared by the new metric.
    resumed = train(digits_shards, tmp_path, monitor="loss", **settings)
    assert resumed["progress"] == state["progress"]
    assert "Changed since the checkpoint: monitor log_loss -> loss." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--monitor", "top2"), "shards with 10 classes do not have this metric: choose one of to"),
        (("--monitor", "r2"), "--monitor r2: shards with 10 classes do not have"),
        (("--target-top1", "0.9", "--monitor", "roc_auc"), "remove one of them"),
        (("--patience", "2", "--val-every", "0"), "raise --val-every"),
        (("--patience", "0"), "--patience must be at least 1"),
        (("--patience", "2", "--synthetic"), "there is no validation split"),
        (
            ("--synthetic", "--monitor", "roc_auc"),
            "(roc_auc needs at most 200 classes): choose one of top1, top5, macro_f1",
        ),
    ],
)
def test_rejects_what_does_not_fit(
    digits_shards: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    words = ["--model", MODEL, "--out", str(tmp_path / "run"), "--image-size", "32", *arguments]
    words += [] if "--synthetic" in arguments else ["--shards", str(digits_shards)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())


def test_a_metric_that_the_samples_do_not_define_is_said() -> None:
    with pytest.raises(MisuseError, match=r"--monitor roc_auc: .* has no ROC AUC"):
        trainer.validation.monitored({"top1": 1.0, "loss": 0.0}, "roc_auc")


def test_help_lists_the_metrics_of_each_task() -> None:
    text = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    for names in ("classification: top1, top5, macro_f1,", "multi-label: mean_average_precision,"):
        assert names in text
