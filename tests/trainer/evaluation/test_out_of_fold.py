"""``trainer.evaluate`` of several folds: one score over all held-out samples."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.fold_index import open_folds
from pipeline.storage.dataset import Dataset
from pipeline.storage.sources import read_source_column
from tests.helpers.partly_labeled import CLASSES, write_partly_labeled
from tests.helpers.tiny_trainer import train_in
from trainer import evaluate, predict

FOLDS = ("1/2", "2/2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """<task>/shards, and <task>/1 and <task>/2, runs of two folds."""
    folder = tmp_path_factory.mktemp("folds")
    for task in ("classification", "regression"):
        (folder / task).mkdir()
        write_partly_labeled(folder / task / "shards", task)
        for fold in FOLDS:
            train_in(folder / task, fold[0], fold=fold)
    return folder


def call(command: click.Command, *words: object, code: int = 0) -> str:
    result = CliRunner().invoke(command, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def record(*words: object) -> dict[str, Any]:
    last: dict[str, Any] = json.loads(call(evaluate.main, *words).splitlines()[-1])
    return last


def test_every_labeled_sample_of_train_and_val_counts_once(folder: Path) -> None:
    runs = [folder / "classification" / fold[0] for fold in FOLDS]
    *single, both = *map(record, runs), record(*runs)
    assert both["samples"] == 32 == sum(one["samples"] for one in single)
    assert both["top1_correct"] == sum(one["top1_correct"] for one in single)
    weighted = sum(one["log_loss"] * one["samples"] for one in single) / 32
    assert both["log_loss"] == pytest.approx(weighted, rel=1e-6)
    assert both["fold"] == "1/2, 2/2"
    assert both["by_name"].keys() == {*CLASSES}
    worst = Path(both["worst"]).read_text().splitlines()
    # Keys begin anew in each split.
    assert len({tuple(line.split(",")[-2:]) for line in worst[1:]}) == 24
    assert Path(both["worst_chart"]).parent == runs[0]


def test_the_error_of_regression_is_that_of_the_predictions(folder: Path, tmp_path: Path) -> None:
    """Each fold standardizes the targets in its own way."""
    own = folder / "regression"
    dataset = Dataset(own / "shards")
    errors = []
    for fold in FOLDS:
        out = tmp_path / f"{fold[0]}.csv"
        call(predict.main, own / fold[0], "--split", "val", "--out", out)
        index = open_folds(dataset, fold, 0).held_out
        ids = read_source_column(index, "id").to_pylist()
        truth = {ids[row]: index.targets[row] for row in index.rows().tolist()}
        rows = [line.split(",") for line in out.read_text().splitlines()[1:]]
        assert truth.keys() == {row[0] for row in rows}
        errors += [np.array(row[1:], np.float64) - truth[row[0]] for row in rows]
    rmse = np.sqrt(np.square(errors).mean(axis=0)).mean()
    both = record(*(own / fold[0] for fold in FOLDS))
    assert both["rmse"] == pytest.approx(rmse, rel=1e-5)


def test_runs_that_are_no_folds_of_one_division_are_refused(folder: Path) -> None:
    own = folder / "classification"
    train_in(own, "third", fold="1/3")
    train_in(own, "seeded", fold="2/2", seed=7)
    train_in(own, "whole")
    for other, words in (("third", "--fold 1/3"), ("seeded", "--seed 7"), ("whole", "no --fold")):
        output = call(evaluate.main, own / "1", own / ".." / own.name / other, code=2)
        assert words in output
    assert "different folds" in call(evaluate.main, own / "1", own / "2", "--split", "test", code=2)
    # One run, however it is written.
    assert record(own / "1", own / ".." / own.name / "1") == record(own / "1")
    for other in ("1", "seeded"):
        output = call(predict.main, own / other, own / "2", "--split", "val", code=2)
        assert "different folds" in output
