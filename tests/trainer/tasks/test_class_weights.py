"""--class-weights: from counts and files, in the loss of each task, on one and two ranks."""

from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy, one_hot

from pipeline.config import PipelineConfig
from pipeline.errors import DataError, MisuseError
from pipeline.storage.dataset import Dataset
from tests.helpers import tiny_trainer
from tests.helpers.handmade import write_shards
from tests.helpers.processes import exit_codes, lines, start_ranks
from trainer.__main__ import main
from trainer.tasks.class_weights import (
    balanced,
    class_weights,
    negatives_per_positive,
    read_class_weights,
)
from trainer.tasks.classification import Classification
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task, task_from_record, task_record

WEIGHTS = (0.5, 1.0, 4.0)
CLASSES = ("a", "b", "c")


def test_balanced_weights_equal_scikit_learn() -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 3])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert balanced(np.bincount(labels)) == pytest.approx(expected)
    assert balanced(np.bincount(labels, minlength=4))[3] == 0


def test_a_class_of_several_gets_its_images_without_by_those_with_it() -> None:
    targets = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]], np.float32)
    assert negatives_per_positive(targets).tolist() == [3, 1, 1 / 3]


def test_inverse_frequency_leaves_out_unlabeled_samples(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", samples=12, unlabeled=[0, 1])
    labels = Dataset(shards).split("train").samples["label"]
    expected = balanced(np.bincount(labels[labels >= 0], minlength=3))
    dataset = Dataset(shards)
    train = dataset.split("train")
    weights = class_weights("inverse-frequency", dataset, train, PipelineConfig())
    assert weights == tuple(expected)
    assert sum(weights[label] for label in labels if label >= 0) == pytest.approx(10)


@pytest.mark.parametrize(
    ("task", "targets"),
    [
        (Classification(classes=CLASSES, label_smoothing=0.1, class_weights=WEIGHTS), "labels"),
        (Classification(classes=CLASSES, class_weights=WEIGHTS), "mixed"),
        (MultiLabel(classes=CLASSES, class_weights=WEIGHTS), "columns"),
        (Segmentation(classes=CLASSES, class_weights=WEIGHTS), "masks"),
    ],
)
def test_the_mean_of_the_ranks_is_the_loss_of_the_whole_batch(task: Task, targets: str) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(8, 3, generator=generator)
    labels = torch.tensor([0, 0, 0, 1, 2, 2, 1, 0])
    truth = {
        "labels": labels,
        "mixed": one_hot(labels, 3) * 0.7 + 0.1,
        "columns": one_hot(labels, 3).float(),
        "masks": labels[:, None, None].repeat(1, 2, 2).to(torch.uint8),
    }[targets]
    if targets == "masks":
        outputs = outputs[:, :, None, None].repeat(1, 1, 2, 2)
    whole, halves = task.loss(outputs, truth), zip(outputs.chunk(2), truth.chunk(2), strict=True)
    assert float(whole) == pytest.approx(float(sum(task.loss(*half) for half in halves)) / 2)
    assert task_from_record(task_record(task)) == task
    if targets in ("masks", "labels"):
        plain = type(task)(classes=CLASSES, class_weights=WEIGHTS)
        losses = (
            cross_entropy(outputs, truth.long(), reduction="none")
            * torch.tensor(WEIGHTS)[truth.long()]
        )
        assert float(plain.loss(outputs, truth)) == pytest.approx(float(losses.mean()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat,1\ndgo,2\n", r"row 2: the shards have no class 'dgo': they have 'cat', 'dog'"),
        ("class,weight\ncat,1\ncat,2\n", r"row 3: class 'cat' has a weight already"),
        ("cat,1\ndog,two\n", r"row 2: the weight 'two' is not a number of at least 0"),
        ("cat,1\ndog,-2\n", r"row 2: the weight '-2' is not"),
        ("cat,1\ndog,nan\n", r"row 2: the weight 'nan' is not"),
        ("cat,1\ndog\n", r"row 2: 1 cells instead of 2"),
        ("cat,1\n\n", r"no row for 1 of 2 classes, such as 'dog'"),
        ("cat,0\ndog,0\n", r"all weights are 0"),
    ],
)
def test_a_wrong_row_is_said(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "weights.csv"
    path.write_text(text)
    with pytest.raises(MisuseError, match=message):
        read_class_weights(path, ("cat", "dog"), ("n01", "n02"))


def test_a_file_has_names_or_labels_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "weights.csv"
    path.write_text("\ufeffClass, Weight\r\nn02, 3\r\ncat, 0.5\r\n", encoding="utf-8")
    assert read_class_weights(path, ("cat", "dog"), ("n01", "n02")) == (0.5, 3.0)
    path.write_bytes(b"\xff\xfe\x00")
    for unreadable in (path, tmp_path / "nowhere.csv"):
        with pytest.raises(DataError, match=r"can't be read .*: give inverse-frequency or a CSV"):
            read_class_weights(unreadable, ("cat", "dog"), ("n01", "n02"))


@pytest.mark.parametrize(
    ("shards", "arguments", "message"),
    [
        ({"task": "regression", "classes": (), "targets": ("age",)}, (), "stored for regression"),
        ({"task": "segmentation"}, (), "do not have the number of pixels of each class"),
        ({}, ("--sample-weights", "inverse-frequency"), "would both balance the classes"),
        ({}, ("--synthetic",), "--synthetic has none"),
    ],
)
def test_rejects_what_has_no_weights(
    tmp_path: Path, shards: dict[str, Any], arguments: tuple[str, ...], message: str
) -> None:
    folder = write_shards(tmp_path / "shards", **shards)
    words = ["--class-weights", "inverse-frequency", *arguments]
    words += [] if "--synthetic" in arguments else ["--shards", str(folder)]
    result = CliRunner().invoke(main, [*words, "--image-size", "32", "--global-batch-size", "4"])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_two_ranks_train_like_one_and_run_out_of_patience_together(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    weights = tmp_path / "weights.csv"
    weights.write_text("".join(f"{label},{label}\n" for label in range(10)))
    settings: dict[str, Any] = {"shards": str(digits_shards), "class_weights": str(weights)}
    settings |= {"global_batch_size": 64, "threads": 1, "log_every": 2, "precision": "fp32"}
    # The weights of the model stay, and so do its metrics.
    settings |= {"learning_rate": 1e-30, "val_every": 0.1, "patience": 2, "device": "cpu"}
    tiny_trainer.train(out=str(tmp_path / "one"), **settings)
    assert exit_codes(start_ranks(loaded, 2, out=str(tmp_path / "two"), **settings)) == [0, 0]
    one, two = (
        [line["loss"] for line in lines(tmp_path / name, "train")] for name in ("one", "two")
    )
    assert two == pytest.approx(one, rel=1e-4)
    # Random guesses have a loss of log 10 times a mean weight of 4.5.
    assert np.mean(one) == pytest.approx(4.5 * np.log(10), rel=0.1)
    for name in ("one", "two"):
        assert len(lines(tmp_path / name, "evaluation")) == 3
        assert lines(tmp_path / name, "summary")[0]["ended_by"] == "patience"
