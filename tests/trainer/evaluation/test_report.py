"""What an evaluation prints and writes beside its metrics."""

import csv
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.cells import cell_len

from pipeline.console import open_console
from pipeline.storage.dataset import Dataset
from tests.helpers.task_statistics import evaluation_of
from trainer.evaluation.class_scores import print_scores, worst_first, write_scores
from trainer.evaluation.confusion import Confusion, draw_confusion, write_pairs
from trainer.evaluation.findings import findings
from trainer.evaluation.worst import WORST_SAMPLES, worst_samples, write_worst
from trainer.tasks.classification import Classification
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.scores import Evaluation, Statistics
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task

HEADER = ["class", "n", "precision", "recall", "F1", "ROC", "AUC"]
BEES = ("few varrao", "healthy", "missing queen")


def classified(task: Classification, pairs: list[tuple[int, int, int]]) -> Evaluation:
    """The evaluation of (class, predicted class, samples)."""
    rows = [(true, guess) for true, guess, count in pairs for _ in range(count)]
    truth, predicted = torch.tensor(rows).T
    outputs = torch.nn.functional.one_hot(predicted, len(task.classes)).float()
    return evaluation_of(task, outputs, truth)


@pytest.mark.parametrize(
    ("pairs", "sentences"),
    [
        ([(0, 0, 5), (1, 1, 9), (2, 2, 1)], []),
        (
            [(0, 0, 5), (1, 1, 50), (2, 1, 12)],
            ["No image of 'missing queen' (12) was predicted correctly."],
        ),
        (
            [(0, 1, 5), (1, 1, 50), (2, 1, 12)],
            [
                "Top-1 (74.63%) is not above the majority's share: to answer 'healthy' each time "
                "reaches 74.63%.",
                "No image of 2 classes was predicted correctly: 'few varrao' (5), 'missing queen' "
                "(12).",
            ],
        ),
        # Half of the images, but no more than the largest class; each class is found.
        (
            [(0, 0, 2), (0, 1, 4), (1, 1, 1), (1, 0, 2), (2, 2, 3)],
            [
                "Top-1 (50.00%) is not above the majority's share: to answer 'few varrao' each "
                "time reaches 50.00%."
            ],
        ),
        # A class without samples is not missed.
        ([(0, 0, 5), (1, 1, 6), (1, 2, 1)], []),
    ],
)
def test_what_an_accuracy_hides(pairs: list[tuple[int, int, int]], sentences: list[str]) -> None:
    assert findings(classified(Classification(classes=BEES), pairs)) == sentences


def test_findings_of_many_classes_tags_pixels_and_numbers() -> None:
    many = Classification(classes=tuple(f"c{number}" for number in range(9)))
    *_, sentence = findings(classified(many, [(number, 0, 2) for number in range(9)]))
    said = "No image of 8 classes was predicted correctly: 'c1' (2), 'c2' (2), "
    assert sentence.startswith(said)
    assert sentence.endswith("'c5' (2) and 3 more.")
    targets = torch.tensor([[1.0, 1, 0], [1, 0, 0]])
    tags = evaluation_of(MultiLabel(classes=BEES), torch.tensor([[1.0, -1, -1]] * 2), targets)
    assert findings(tags) == ["No image of 'healthy' (1) was predicted correctly."]
    masks = torch.tensor([[[0, 0, 1, 255]]], dtype=torch.uint8)
    outputs = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).repeat(1, 1, 1, 4)
    assert findings(evaluation_of(Segmentation(classes=BEES), outputs, masks)) == [
        "Pixel accuracy (66.67%) is not above the majority's share: to answer 'few varrao' each "
        "time reaches 66.67%.",
        "No pixel of 'healthy' (1) was predicted correctly.",
    ]
    task = Regression(targets=("x", "y"), means=(0, 0), stds=(1, 1))
    numbers = torch.tensor([[0.0, 1], [2, 3]])
    evaluation = evaluation_of(task, torch.tensor([[0.0, 3], [2, 1]]), numbers)
    assert findings(evaluation) == [
        "The RMSE is not below that of predicting the mean for 'y' (2, the mean 1)."
    ]


def printed(evaluation: Evaluation, task: Task, width: int) -> str:
    console = open_console(soft_wrap=True, width=width, file=io.StringIO())
    print_scores(console, evaluation, task, title="12 samples of split val")
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 200])
def test_of_a_thousand_classes_the_worst_and_the_best_are_listed(
    width: int, tmp_path: Path
) -> None:
    names = tuple(f"species {number} of a genus with a long name" for number in range(1000))
    task = Classification(classes=names)
    # Class n is found n times of 1,000; the last has no sample.
    pairs = [(n, n, n) for n in range(1, 999)] + [(n, n + 1, 999 - n) for n in range(998)]
    counts = np.zeros((1000, 1000), np.int64)
    for true, guess, count in pairs:
        counts[true, guess] = count
    evaluation = Evaluation(
        samples=int(counts.sum()),
        loss=1.0,
        metrics={"top1": 0.5},
        baselines={"majority_share": 0.1},
        by_name={n: counts[i, i] / counts[i].sum() for i, n in enumerate(names[:-1])},
        more_by_name={
            "samples": dict(zip(names, counts.sum(1).tolist(), strict=True)),
            "f1": {
                n: 2 * counts[i, i] / (counts[i].sum() + counts[:, i].sum())
                for i, n in enumerate(names[:-1])
            },
        },
    )
    text = printed(evaluation, task, width)
    tables = text.split("Not listed")[0]
    assert max(map(cell_len, tables.splitlines())) <= width
    flat = " ".join(text.split())
    assert "984 more: per_class.csv" in flat
    assert f"Not listed: 1 class without samples here: '{names[-1]}'." in flat
    ordered = worst_first(evaluation)
    assert ordered[0] == names[0] and ordered[-1] == names[998] and len(ordered) == 999
    with write_scores(tmp_path, evaluation, task).open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["class", "samples", "recall", "f1"]
    assert len(rows) == 1001 and rows[-1] == [names[-1], "0", "", ""]
    assert float(rows[11][2]) == evaluation.by_name[names[10]]


def test_a_table_of_few_classes_has_all(tmp_path: Path) -> None:
    task = Classification(classes=BEES)
    evaluation = classified(task, [(0, 0, 5), (1, 1, 50), (2, 1, 12)])
    lines = [line.split() for line in printed(evaluation, task, 80).splitlines() if line.strip()]
    assert ["top-1", "82.09%"] in lines and ["majority's", "share", "74.63%"] in lines
    assert ["balanced", "accuracy", "66.67%"] in lines
    assert lines.count(["majority's", "share", "74.63%"]) == 1
    rows = [line[:-1] for line in lines[lines.index(HEADER) + 2 : -1]]
    assert rows == [
        ["missing", "queen", "12", "-", "0.0000", "0.0000"],
        ["healthy", "50", "0.8065", "1.0000", "0.8929"],
        ["few", "varrao", "5", "1.0000", "1.0000", "1.0000"],
    ]


def test_confusions_in_a_table(tmp_path: Path) -> None:
    counts = np.array([[5, 0, 0], [1, 50, 0], [0, 12, 0]])
    names = ("=few", "healthy", "missing queen")
    write_pairs(Confusion(classes=names, counts=counts), tmp_path / "confusion.csv")
    assert (tmp_path / "confusion.csv").read_text() == (
        "true,predicted,samples,fraction of the true class\n"
        "missing queen,healthy,12,1.0\n"
        f"healthy,'=few,1,{1 / 51}\n"
    )


def test_long_names_have_room_beside_the_matrix(tmp_path: Path) -> None:
    names = tuple(f"{number} {'x' * 40}" for number in range(4))
    counts = np.arange(16).reshape(4, 4)
    draw_confusion(Confusion(classes=names, counts=counts), tmp_path / "confusion.png")
    assert cv2.imread(str(tmp_path / "confusion.png")).shape[1] > 750


def test_the_highest_losses_are_those_of_any_order(digits_shards: Path, tmp_path: Path) -> None:
    index = Dataset(digits_shards).split("val")
    samples, losses = len(index), np.zeros(len(index), np.float32)
    losses[[3, 50, 7]] = 2, 9, np.nan
    labels = index.samples["label"].astype(np.float32)
    values = np.stack([losses, labels, labels * 0, labels * 0, labels * 0 + 0.5], axis=1)
    task = Classification(classes=tuple("0123456789"))
    statistics = Statistics(samples=np.arange(samples), values=values, counts=np.zeros(0, np.int64))
    worst = worst_samples(task, statistics, index)
    ties = [row for row in range(samples) if row not in (3, 50, 7)]
    expected = [7, 50, 3, *ties][:WORST_SAMPLES]
    assert [sample.row for sample in worst] == expected
    assert [sample.key for sample in worst[:2]] == [
        f"{index.samples['key'][row]:09d}" for row in (7, 50)
    ]
    write_worst(tmp_path / "worst.csv", worst)
    with (tmp_path / "worst.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == ["loss", "true", "predicted", "probability", "source", "key", "shard"]
    assert (rows[1]["loss"], rows[1]["true"]) == ("9", str(int(labels[50])))
    assert (rows[1]["probability"], rows[1]["predicted"]) == ("0.500000", "0")
    assert len({row["source"] for row in rows}) == WORST_SAMPLES
