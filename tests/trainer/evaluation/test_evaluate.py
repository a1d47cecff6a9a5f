"""``python -m trainer.evaluate``: metrics of the run and of each class, confusion matrix."""

import csv
import json
import os
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.helpers.processes import Torchrun, lines
from tests.helpers.runs import train
from tests.helpers.task_statistics import evaluation_of
from trainer import evaluate
from trainer.evaluate import main
from trainer.evaluation.confusion import Confusion, draw_confusion
from trainer.tasks.classification import Classification


@pytest.fixture(scope="module")
def trained(digits_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "digits"
    settings = {"ema_decay": 0.8, "precision": "bf16", "tta": "flip", "checkpoint_every": 0.3}
    train(digits_shards, out, steps=12, model="tiny", learning_rate=0.05, **settings)
    return out


def run_evaluate(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    record: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    return record


def test_same_metrics_as_in_the_run_on_any_number_of_ranks(
    trained: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    (logged,) = lines(trained, "evaluation")
    one_rank = run_evaluate("--run", str(trained))
    counts = ("samples", "top1_correct", "top5_correct")
    assert [one_rank[name] for name in counts] == [logged[name] for name in counts]
    # The run evaluated in batches of another size, which rounds otherwise.
    assert one_rank["loss"] == pytest.approx(logged["loss"], rel=1e-4)
    assert (one_rank["dtype"], one_rank["top1_with_flips"]) == (
        "bfloat16",
        logged["top1_with_flips"],
    )
    image = cv2.imread(str(trained / "confusion.png"))
    assert image is not None and min(image.shape[:2]) > 400
    assert logged["majority_share"] == one_rank["majority_share"]
    columns, losses = scores(trained), worst_losses(trained)
    pairs = (trained / "confusion.csv").read_bytes()
    assert len(losses) == 24 and cv2.imread(str(trained / "worst.png")) is not None
    exit_code, output = Torchrun(loaded, 3, evaluate.__file__, trained, folder=tmp_path).end()
    assert exit_code == 0, output
    record = json.loads(output.splitlines()[-1])
    assert record["by_name"] == one_rank["by_name"]
    assert (scores(trained), (trained / "confusion.csv").read_bytes()) == (columns, pairs)
    # Ranks have smaller batches, whose losses round otherwise.
    of_ranks = worst_losses(trained)
    assert list(of_ranks.values()) == pytest.approx(list(losses.values()), rel=1e-2)
    assert len(of_ranks.keys() & losses.keys()) > 20
    assert [record[name] for name in counts] == [one_rank[name] for name in counts]


def scores(run: Path) -> list[list[str]]:
    """The cells of per_class.csv that are computed from counts."""
    rows = [line.split(",") for line in (run / "per_class.csv").read_text().splitlines()]
    assert rows[0] == ["class", "samples", "precision", "recall", "f1", "roc_auc"]
    return [row[:5] for row in rows]


def worst_losses(run: Path) -> dict[str, float]:
    """The source of each of the worst samples, and its loss."""
    with (run / "worst.csv").open(newline="") as file:
        return {row["source"]: float(row["loss"]) for row in csv.DictReader(file)}


def test_evaluates_another_checkpoint(trained: Path) -> None:
    earlier = min(trained.glob("checkpoint-*.pt"))
    record = run_evaluate("--checkpoint", str(earlier))
    assert (record["run"], record["checkpoint"]) == (str(trained), str(earlier))
    assert record["loss"] != run_evaluate("--run", str(trained))["loss"]


def test_evaluates_another_split(trained: Path) -> None:
    run_evaluate("--run", str(trained))
    before = scores(trained)
    record = run_evaluate("--run", str(trained), "--split", "train")
    assert (record["split"], record["samples"]) == ("train", 1617)
    assert scores(trained) == before != scores(trained / "train")
    names = {"per_class.csv", "confusion.csv", "confusion.png", "worst.csv", "worst.png"}
    assert {path.name for path in (trained / "train").iterdir()} == names


@pytest.mark.parametrize("classes", [3, 60])
def test_counts_and_draws_the_confusion_matrix(classes: int, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(400, classes, generator=generator)
    labels = torch.randint(-1, classes - 1, (400,), generator=generator)
    counts = np.zeros((classes, classes), np.int64)
    for row, label in zip(outputs, labels.tolist(), strict=True):
        if label >= 0:
            counts[label, int(row.argmax())] += 1
    names = tuple(f"class {number}" for number in range(classes))
    evaluation = evaluation_of(Classification(classes=names), outputs, labels)
    np.testing.assert_array_equal(evaluation.confusion, counts)
    assert evaluation.counts["top1_correct"] == counts.trace()
    assert names[-1] not in evaluation.by_name
    assert evaluation.by_name["class 1"] == counts[1, 1] / counts[1].sum()
    confusion = Confusion(classes=names, counts=counts)
    pairs = confusion.pairs(10)
    assert pairs[0][2] == (counts - np.diag(counts.diagonal())).max()
    assert [pair[2] for pair in pairs] == sorted((pair[2] for pair in pairs), reverse=True)
    draw_confusion(confusion, tmp_path / "confusion.png")
    assert cv2.imread(str(tmp_path / "confusion.png")) is not None


def test_a_pipe_is_no_config_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert (result.exit_code, "not a plain file" in result.output) == (1, True), result.output
