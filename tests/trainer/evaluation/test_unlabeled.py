"""``python -m trainer.evaluate --split test`` where samples of test have no label."""

import csv
import json
from pathlib import Path

import pytest

from tests.helpers import tiny_trainer
from tests.helpers.cli import invoke
from tests.helpers.partly_labeled import TESTS, write_partly_labeled
from trainer.evaluate import main as evaluate

# Task -> the columns of its worst.csv that others may lack.
COLUMNS = {
    "classification": ["true", "predicted", "probability"],
    "multi-label": ["true", "predicted", "tag", "probability"],
    "regression": ["true", "predicted"],
    "segmentation": ["true", "predicted"],
}


def trained(folder: Path, task: str, unlabeled: int) -> Path:
    """A run of a few steps on shards whose test split lacks `unlabeled` labels."""
    write_partly_labeled(folder / "shards", task, unlabeled=unlabeled)
    builder = tiny_trainer.tiny_pixelwise if task == "segmentation" else tiny_trainer.tiny
    tiny_trainer.train(
        model=builder.__name__,
        shards=str(folder / "shards"),
        out=str(folder / "run"),
        epochs=1,
        global_batch_size=8,
        image_size=32,
        threads=1,
        device="cpu",
        precision="fp32",
    )
    return folder / "run"


@pytest.mark.parametrize("task", COLUMNS)
def test_labeled_samples_are_evaluated(task: str, tmp_path: Path) -> None:
    run = trained(tmp_path, task, unlabeled=9)
    result = invoke(evaluate, run, "--split", "test")
    assert result.exit_code == 0, result.output
    record = json.loads(result.output.splitlines()[-1])
    assert (record["samples"], record["unlabeled"]) == (TESTS - 9, 9)
    assert record["loss"] == record["loss"]
    assert "Left out 9 samples without a label." in result.output
    with (run / "test" / "worst.csv").open(newline="") as file:
        worst = list(csv.DictReader(file))
    assert [len(worst), *worst[0]] == [TESTS - 9, "loss", *COLUMNS[task], "source", "key", "shard"]
    losses = [float(row["loss"]) for row in worst]
    assert losses == sorted(losses, reverse=True)
    assert sum(losses) / len(losses) == pytest.approx(record["loss"], rel=1e-4)
    assert all(row["source"] for row in worst)
    assert (run / "test" / "worst.png").read_bytes().startswith(b"\x89PNG")
    assert (run / record["scores"]).exists()
    validated = invoke(evaluate, run)
    assert validated.exit_code == 0 and "Left out" not in validated.output
    assert json.loads(validated.output.splitlines()[-1])["unlabeled"] == 0


def test_a_split_without_labels_is_refused(tmp_path: Path) -> None:
    result = invoke(evaluate, trained(tmp_path, "classification", TESTS), "--split", "test")
    assert result.exit_code == 2
    assert f"--split test: none of its {TESTS} samples" in result.output
    assert "has a label" in result.output and "Evaluate train or val." in result.output
