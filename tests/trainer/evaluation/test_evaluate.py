"""``python -m trainer.evaluate``: what the run said, class by class, and a picture."""

import json
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
from trainer import evaluate
from trainer.evaluate import main
from trainer.evaluation.confusion import Confusion, confusion_sums, draw_confusion


@pytest.fixture(scope="module")
def trained(digits_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "digits"
    settings = {"ema_decay": 0.8, "precision": "bf16", "tta": "flip", "checkpoint_every": 0.3}
    train(digits_shards, out, steps=12, model="squeezenet1_1", learning_rate=0.05, **settings)
    return out


def evaluated(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    record: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    return record


def test_says_what_the_run_said_at_any_number_of_ranks(
    trained: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    (told,) = lines(trained, "evaluation")
    alone = evaluated("--run", str(trained))
    counts = ("samples", "top1_correct", "top5_correct")
    assert [alone[name] for name in counts] == [told[name] for name in counts]
    # The run evaluated in batches of another size, which rounds otherwise.
    assert alone["loss"] == pytest.approx(told["loss"], rel=1e-4)
    assert (alone["dtype"], alone["top1_with_flips"]) == ("bfloat16", told["top1_with_flips"])
    image = cv2.imread(str(trained / "confusion.png"))
    assert image is not None and min(image.shape[:2]) > 400
    exit_code, said = Torchrun(loaded, 3, evaluate.__file__, trained, folder=tmp_path).end()
    assert exit_code == 0, said
    record = json.loads(said.splitlines()[-1])
    assert record["by_name"] == alone["by_name"]
    assert [record[name] for name in counts] == [alone[name] for name in counts]


def test_another_checkpoint(trained: Path) -> None:
    earlier = min(trained.glob("checkpoint-*.pt"))
    record = evaluated("--checkpoint", str(earlier))
    assert (record["run"], record["checkpoint"]) == (str(trained), str(earlier))
    assert record["loss"] != evaluated("--run", str(trained))["loss"]


def test_another_split(trained: Path) -> None:
    record = evaluated("--run", str(trained), "--split", "train")
    assert (record["split"], record["samples"]) == ("train", 1617)


@pytest.mark.parametrize("classes", [3, 60])
def test_confusion_is_counted_and_drawn(classes: int, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(400, classes, generator=generator)
    labels = torch.randint(-1, classes - 1, (400,), generator=generator)
    counts = np.zeros((classes, classes), np.int64)
    for row, label in zip(outputs, labels.tolist(), strict=True):
        if label >= 0:
            counts[label, int(row.argmax())] += 1
    cells = confusion_sums(outputs, labels).reshape(classes, classes).numpy()
    np.testing.assert_array_equal(cells, counts)
    names = tuple(f"class {number}" for number in range(classes))
    confusion = Confusion(classes=names, counts=counts)
    assert names[-1] not in confusion.accuracies()
    assert confusion.accuracies()["class 1"] == counts[1, 1] / counts[1].sum()
    pairs = confusion.pairs(10)
    assert pairs[0][2] == (counts - np.diag(counts.diagonal())).max()
    assert [pair[2] for pair in pairs] == sorted((pair[2] for pair in pairs), reverse=True)
    draw_confusion(confusion, tmp_path / "confusion.png")
    assert cv2.imread(str(tmp_path / "confusion.png")) is not None


def test_what_can_not_be_evaluated_is_said(
    trained: Path, photographs: Path, tmp_path: Path
) -> None:
    for arguments, code, message in (
        (("--run", str(tmp_path)), 1, "holds no run"),
        ((), 2, "Give the directory of one run"),
        (("--run", str(trained), "--checkpoint", str(tmp_path / "x.pt")), 1, "x.pt can't be read"),
        (("--run", str(trained), "--split", "tset"), 1, "no split 'tset'"),
        (("--run", str(trained), "--shards", str(photographs)), 1, "the run was trained for"),
    ):
        result = CliRunner().invoke(main, arguments)
        assert (result.exit_code, message in result.output) == (code, True), result.output
