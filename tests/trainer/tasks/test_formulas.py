"""Each metric equals its definition, sample by sample or pair by pair, and scikit-learn's."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    precision_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)

from tests.helpers.task_statistics import evaluation_of
from trainer.tasks.classification import SCORED_CLASSES, Classification
from trainer.tasks.formulas import average_precision, quadratic_kappa, roc_auc, threshold_counts
from trainer.tasks.metric_names import is_gain, main_rows
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task

SCORES = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30)


@given(SCORES)
def test_roc_auc_is_the_share_of_ordered_pairs(rows: list[tuple[int, bool]]) -> None:
    positive = [score for score, label in rows if label]
    negative = [score for score, label in rows if not label]
    wins = [(high > low) + (high == low) / 2 for high, low in product(positive, negative)]
    value = roc_auc(*threshold_counts(*arrays(rows)))
    assert value == sum(wins) / len(wins) if wins else np.isnan(value)


@given(SCORES)
def test_average_precision_adds_precision_by_recall(rows: list[tuple[int, bool]]) -> None:
    positives = sum(label for _, label in rows)
    expected, found = 0.0, 0
    for threshold in sorted({score for score, _ in rows}, reverse=True):
        taken = [label for score, label in rows if score >= threshold]
        expected += sum(taken) / len(taken) * (sum(taken) - found) / max(1, positives)
        found = sum(taken)
    value = average_precision(*threshold_counts(*arrays(rows)))
    assert value == pytest.approx(expected) if positives else np.isnan(value)


def arrays(rows: list[tuple[int, bool]]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    scores, labels = zip(*rows, strict=True)
    return np.array(scores, np.float32), np.array(labels)


@given(st.lists(st.tuples(*[st.integers(1990, 1994)] * 2), min_size=1, max_size=20))
def test_kappa_compares_with_all_pairs(rows: list[tuple[int, int]]) -> None:
    true, predicted = np.array(rows, np.float64).T
    by_chance = np.square(true[:, None] - predicted).mean()
    expected = 1 - np.square(true - predicted).mean() / by_chance if by_chance else 0
    assert quadratic_kappa(true, predicted) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_classification_equals_scikit_learn(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    labels = torch.cat([torch.arange(classes), torch.randint(classes, (60,), generator=generator)])
    logits = torch.randn(len(labels), classes, generator=generator)
    logits[torch.arange(len(labels)), labels] += 1
    names = tuple(str(number) for number in range(classes))
    evaluation = evaluation_of(Classification(classes=names), logits, labels, 5, 40)
    truth, predicted = labels.numpy(), logits.argmax(1).numpy()
    probabilities = logits.double().softmax(1).numpy()
    scores = probabilities[:, 1] if classes == 2 else probabilities
    expected = {
        "macro_f1": f1_score(truth, predicted, average="macro"),
        "balanced_accuracy": balanced_accuracy_score(truth, predicted),
        "quadratic_kappa": cohen_kappa_score(truth, predicted, weights="quadratic"),
        "roc_auc": roc_auc_score(truth, scores, multi_class="ovr"),
        "log_loss": log_loss(truth, probabilities),
    }
    found = {name: evaluation.metrics[name] for name in expected}
    assert found == pytest.approx(expected, rel=1e-6)
    f1 = dict(zip(names, f1_score(truth, predicted, average=None), strict=True))
    assert evaluation.more_by_name["f1"] == pytest.approx(f1)
    assert Classification(classes=names).metrics == (*evaluation.metrics, "loss")


def test_multi_label_equals_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(80, 4, generator=generator)
    targets = (torch.rand(80, 4, generator=generator) < logits.sigmoid()).float()
    evaluation = evaluation_of(MultiLabel(classes=tuple("abcd")), logits, targets, 30)
    truth, guessed = targets.numpy(), (logits > 0).numpy()
    expected = {
        "mean_average_precision": average_precision_score(truth, logits, average="macro"),
        "macro_f1": f1_score(truth, guessed, average="macro"),
        "macro_precision": precision_score(truth, guessed, average="macro"),
        "macro_recall": recall_score(truth, guessed, average="macro"),
        "roc_auc": roc_auc_score(truth, logits, average="macro"),
        "log_loss": float(torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)),
    }
    assert evaluation.metrics == pytest.approx(expected, rel=1e-6)
    assert evaluation.loss == evaluation.metrics["log_loss"]


def test_regression_errors_are_in_the_units_of_the_targets() -> None:
    generator = np.random.default_rng(0)
    targets = generator.normal((5, -300), (2, 40), (50, 2)).astype(np.float32)
    task = Regression(targets=("a", "b"), means=(4, -200), stds=(3, 30))
    outputs = generator.normal(0, 1, (50, 2)).astype(np.float32)
    predicted = outputs.astype(np.float64) * task.stds + task.means
    evaluation = evaluation_of(task, *map(torch.from_numpy, (outputs, targets)), 20)
    assert evaluation.metrics["rmse"] == pytest.approx(root_mean_squared_error(targets, predicted))
    assert evaluation.metrics["mae"] == pytest.approx(mean_absolute_error(targets, predicted))
    each = mean_absolute_error(targets, predicted, multioutput="raw_values")
    assert list(evaluation.more_by_name["mae"].values()) == pytest.approx(each.tolist())


def test_dice_is_twice_the_overlap_by_both_areas() -> None:
    targets = torch.tensor([[[0, 0, 1, 1, 255]]], dtype=torch.uint8)
    outputs = torch.nn.functional.one_hot(torch.tensor([[[0, 1, 1, 1, 0]]]), 3).permute(0, 3, 1, 2)
    evaluation = evaluation_of(Segmentation(classes=("a", "b", "c")), outputs.float(), targets)
    expected = {"a": 2 * 1 / (2 + 1), "b": 2 * 2 / (2 + 3)}
    assert evaluation.more_by_name["dice"] == pytest.approx(expected)
    assert evaluation.metrics["mean_dice"] == pytest.approx(sum(expected.values()) / 2)


TASKS: list[Task] = [
    Classification(classes=("1", "2", "3")),
    MultiLabel(classes=("a", "b", "c")),
    Regression(targets=("a", "b", "c"), means=(0, 1, 2), stds=(1, 2, 3)),
    Segmentation(classes=("a", "b", "c")),
]


@settings(max_examples=20)
@given(st.sampled_from(TASKS), st.integers(0, 99), st.lists(st.integers(1, 39), max_size=3))
def test_any_division_into_ranks_gives_the_same_bits(
    task: Task, seed: int, cuts: list[int]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(40, 3, generator=generator)
    if isinstance(task, Segmentation):
        outputs = torch.randn(40, 3, 2, 4, generator=generator)
        targets = torch.randint(3, (40, 2, 4), generator=generator).to(torch.uint8)
    elif isinstance(task, Classification):
        targets = torch.randint(-1, 3, (40,), generator=generator)
    else:
        targets = torch.randint(2, (40, 3), generator=generator).float()
    whole = evaluation_of(task, outputs, targets)
    parts = evaluation_of(task, outputs, targets, *sorted(set(cuts)))
    assert (parts.as_record(), parts.tables()) == (whole.as_record(), whole.tables())
    assert set(task.metrics) == {*whole.metrics, "loss"}


def test_metrics_that_need_few_or_numbered_classes() -> None:
    many = Classification(classes=tuple(map(str, range(SCORED_CLASSES + 1))))
    assert set(many.metrics) & {"roc_auc", "quadratic_kappa"} == {"quadratic_kappa"}
    values, _ = many.batch_statistics(torch.zeros(2, many.outputs), torch.zeros(2).long())
    assert values.shape == (2, 5)
    assert "quadratic_kappa" not in Classification(classes=("1", "two")).metrics


def test_classes_that_do_not_occur_are_left_out() -> None:
    outputs = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0], [1.0, 0.0, 0.0]])
    task = Classification(classes=("a", "b", "c"))
    evaluation = evaluation_of(task, outputs, torch.tensor([0, 1, 1]))
    assert evaluation.metrics["balanced_accuracy"] == pytest.approx((1 + 0.5) / 2)
    assert evaluation.metrics["macro_f1"] == pytest.approx(2 / 3)
    assert list(evaluation.more_by_name["roc_auc"]) == ["a", "b"]
    assert "roc_auc" not in evaluation_of(task, outputs, torch.tensor([1, 1, 1])).metrics


def test_what_is_better_and_what_a_line_shows() -> None:
    assert is_gain("top1", 0.5, 0.4) and not is_gain("top1", 0.5, 0.5)
    assert is_gain("log_loss", 0.4, 0.5) and not is_gain("rmse", 0.5, 0.4)
    assert is_gain("mae", 9, None) and is_gain("mae", 9, np.nan) and not is_gain("mae", np.nan, 9)
    task = Classification(classes=("1", "2", "3"))
    record = evaluation_of(task, torch.randn(9, 3), torch.arange(9) % 3).as_record()
    shown = {name: [row[0] for row in main_rows(record, name)] for name in ("log_loss", "macro_f1")}
    assert shown["log_loss"] == ["log loss", "top-1", "balanced accuracy"]
    assert shown["macro_f1"] == ["macro F1", "top-1", "balanced accuracy", "loss"]
