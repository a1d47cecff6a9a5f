"""Runs with --fold: trained on K - 1 folds, evaluated on the other, by any number of ranks."""

import json
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from tests.helpers import tiny_trainer
from tests.helpers.cli import invoke
from tests.helpers.handmade import write_splits
from tests.helpers.parts_of_splits import SAMPLES, assert_trained_alike, part_settings
from tests.helpers.processes import exit_codes, lines, start_ranks
from trainer.data import open_data, task_of
from trainer.evaluate import main as evaluate
from trainer.tasks.tasks import Regression


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("folds") / "shards", samples=SAMPLES)


@pytest.fixture(scope="module")
def trained(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "one"
    tiny_trainer.train(**settings(shards, out))
    return out


def settings(shards: Path, out: Path, **changes: Any) -> dict[str, Any]:
    return part_settings(shards, out, **{"fold": "2/5", **changes})


def evaluated(run: Path, *arguments: str) -> dict[str, Any]:
    result = invoke(evaluate, run, *arguments)
    assert result.exit_code == 0, result.output
    record: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    return record


def test_two_ranks_train_and_evaluate_as_one(
    shards: Path, trained: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    ranks = start_ranks(loaded, 2, **settings(shards, tmp_path / "two"))
    assert exit_codes(ranks) == [0, 0]
    assert_trained_alike(
        trained, tmp_path / "two", positions=[6 * step for step in range(1, 13)], evaluated=9
    )


def test_the_run_is_evaluated_on_the_held_out_fold_by_default(
    shards: Path, trained: Path, tmp_path: Path
) -> None:
    (*_, logged) = lines(trained, "evaluation")
    record = evaluated(trained)
    assert (record["samples"], record["fold"]) == (9, "2/5")
    assert record["top1_correct"] == logged["top1_correct"]
    assert evaluated(trained, "--split", "train")["samples"] == 36
    assert evaluated(trained, "--split", "test")["samples"] == SAMPLES["test"]
    other = write_splits(tmp_path / "other", samples={"train": 20, "val": 8})
    record = evaluated(trained, "--shards", str(other))
    assert record["samples"] == 8 and "fold" not in record


def test_a_run_says_its_fold_and_resumes_with_it_only(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also on shards without a validation split."""
    shards = write_splits(tmp_path / "shards", samples={"train": 24})
    tiny_trainer.train(**settings(shards, tmp_path / "run", epochs=0.5, fold="1/3"))
    output = capsys.readouterr().out
    assert "on 16 samples" in output and "no validation" not in output
    assert "Fold 1/3 of train: 16 samples to train on, 8 held out for evaluation" in output
    assert json.loads((tmp_path / "run" / "config.json").read_text())["fold"] == "1/3"
    for fold in ("2/3", None):
        with pytest.raises(DataError, match="with fold 1/3 held out: give --fold 1/3, or start"):
            tiny_trainer.train(**settings(shards, tmp_path / "run", epochs=1, fold=fold))
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    del state["identity"]["fold"]  # as an earlier version saved it
    torch.save(state, tmp_path / "run" / "checkpoint.pt")
    with pytest.raises(DataError, match="was saved without a fold held out: omit --fold"):
        tiny_trainer.train(**settings(shards, tmp_path / "run", epochs=1, fold="1/3"))
    tiny_trainer.train(**settings(shards, tmp_path / "run", epochs=1, fold=None))


def test_targets_are_standardized_over_the_samples_that_are_trained_on(tmp_path: Path) -> None:
    columns = {"classes": (), "targets": ("beauty", "weight")}
    shards = write_splits(tmp_path / "shards", "regression", samples=SAMPLES, **columns)
    data = open_data(PipelineConfig(shards=str(shards), fold="2/5"), synthetic=False)
    assert data.train is not None and data.val is not None
    task = task_of(data, label_smoothing=0)
    assert isinstance(task, Regression)
    rows = np.setdiff1d(np.arange(45), data.val.rows())
    targets = data.train.targets[rows].astype(np.float64)
    assert task.means == pytest.approx(targets.mean(axis=0))
    assert task.stds == pytest.approx(targets.std(axis=0))
