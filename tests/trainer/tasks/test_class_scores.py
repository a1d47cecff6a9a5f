"""Scores of each class, their means and the baselines equal scikit-learn's on random labels, where
any class may lack samples or predictions."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    mean_absolute_error,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
    root_mean_squared_error,
)
from torch.nn.functional import one_hot

from pipeline.storage.manifest import VOID
from tests.helpers.task_statistics import evaluation_of, statistics_of
from trainer.tasks.classification import Classification
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.scores import Evaluation
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task

# scikit-learn takes about 20 ms for one.
EXAMPLES = 40
NAMES = ("a", "b", "c", "d", "e")
# Of five classes, most examples lack some.
PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30)
TAGS = st.lists(
    st.tuples(*[st.lists(st.booleans(), min_size=5, max_size=5)] * 2), min_size=1, max_size=20
)


def require_equal(
    evaluation: Evaluation, truth: Any, predicted: Any, names: dict[str, str]
) -> None:
    """Compare the columns of the evaluation, by their `names` at scikit-learn, with its scores."""
    scores = precision_recall_fscore_support(
        truth, predicted, labels=range(len(NAMES)), zero_division=np.nan
    )
    table = dict(zip(("precision", "recall", "f1", "samples"), scores, strict=True))
    for column, name in names.items():
        values = table[name]
        # scikit-learn takes the F1 of a class that never occurs for a number.
        defined = ~np.isnan(values)
        if name == "f1":
            defined = np.array(table["samples"]) + predicted_counts(predicted) > 0
        expected = {NAMES[n]: values[n] for n in np.flatnonzero(defined)}
        assert dict(evaluation.columns()[column]) == pytest.approx(expected), column


def predicted_counts(predicted: NDArray[Any]) -> NDArray[np.int64]:
    if predicted.ndim == 2:
        return np.asarray(predicted.sum(0))
    return np.bincount(predicted, minlength=len(NAMES))


@pytest.mark.filterwarnings("ignore:(y_pred contains classes not in y_true|A single label)")
@settings(max_examples=EXAMPLES)
@given(PAIRS)
def test_of_one_class_per_image(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    outputs = one_hot(torch.from_numpy(predicted), 5).float()
    evaluation = evaluation_of(Classification(classes=NAMES), outputs, torch.from_numpy(truth))
    names = {name: name for name in ("precision", "recall", "f1", "samples")}
    require_equal(evaluation, truth, predicted, names)
    majority = DummyClassifier(strategy="most_frequent").fit(truth[:, None], truth)
    assert evaluation.baselines == {"majority_share": majority.score(truth[:, None], truth)}
    expected = {
        "balanced_accuracy": balanced_accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
    }
    assert {name: evaluation.metrics[name] for name in expected} == pytest.approx(expected)


@settings(max_examples=EXAMPLES)
@given(TAGS)
def test_of_several_classes_per_image(rows: list[tuple[list[bool], list[bool]]]) -> None:
    truth, predicted = np.array(rows, np.int64).transpose(1, 0, 2)
    outputs = torch.from_numpy(2.0 * predicted - 1).float()
    task = MultiLabel(classes=NAMES)
    evaluation = evaluation_of(task, outputs, torch.from_numpy(truth).float())
    names = {name: name for name in ("precision", "recall", "f1", "samples")}
    require_equal(evaluation, truth, predicted, names)
    shown, occurring = truth.any(0), (truth | predicted).any(0)
    means = {
        "macro_precision": (precision_score, occurring),
        "macro_recall": (recall_score, shown),
        "macro_f1": (f1_score, occurring),
    }
    for name, (score, kept) in means.items():
        columns = np.flatnonzero(kept)
        options = {"labels": columns, "average": "macro", "zero_division": 0}
        expected = score(truth, predicted, **options) if len(columns) else 0
        assert evaluation.metrics[name] == pytest.approx(expected), name


@given(PAIRS)
def test_of_pixels(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    # The last pixel has no class.
    targets = torch.from_numpy(np.append(truth, VOID)).to(torch.uint8)[None, None]
    outputs = one_hot(torch.from_numpy(np.append(predicted, 0)), 5).T.float()[None, :, None]
    evaluation = evaluation_of(Segmentation(classes=NAMES), outputs, targets)
    names = {"precision": "precision", "recall": "recall", "dice": "f1", "pixels": "samples"}
    require_equal(evaluation, truth, predicted, names)
    assert evaluation.baselines["majority_share"] == np.bincount(truth).max() / len(truth)


@given(st.lists(st.tuples(*[st.integers(-9, 9)] * 2), min_size=1, max_size=20))
def test_of_the_mean(rows: list[tuple[int, int]]) -> None:
    truth = np.array(rows, np.float32)
    task = Regression(targets=("x", "y"), means=(1, 2), stds=(3, 4))
    evaluation = evaluation_of(task, torch.zeros(len(rows), 2), torch.from_numpy(truth))
    mean = DummyRegressor().fit(truth, truth).predict(truth)
    assert evaluation.baselines["rmse_of_mean"] == pytest.approx(
        root_mean_squared_error(truth, mean), abs=1e-6
    )
    assert evaluation.baselines["mae_of_mean"] == pytest.approx(
        mean_absolute_error(truth, mean), abs=1e-6
    )
    for name, r2 in evaluation.by_name.items():
        of_mean = evaluation.more_by_name["rmse_of_mean"][name]
        if of_mean:
            rmse = evaluation.more_by_name["rmse"][name]
            assert r2 == pytest.approx(1 - (rmse / of_mean) ** 2, rel=1e-6)


@pytest.mark.parametrize(
    "task",
    [
        Classification(classes=NAMES),
        MultiLabel(classes=NAMES),
        Regression(targets=NAMES, means=(0.0,) * 5, stds=(1.0, 2.0, 3.0, 4.0, 5.0)),
    ],
)
def test_the_losses_of_the_samples_have_the_mean_of_the_evaluation(task: Task) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(30, 5, generator=generator)
    targets = torch.randint(2, (30, 5), generator=generator).float()
    if isinstance(task, Classification):
        targets = torch.randint(5, (30,), generator=generator)
    statistics = statistics_of(task, outputs, targets)
    losses = task.losses(statistics)
    assert losses.mean() == pytest.approx(task.compute(statistics).loss)
    assert [answer.loss for answer in task.answers(statistics)] == pytest.approx(losses.tolist())


def test_answers_of_each_task() -> None:
    outputs = torch.tensor([[2.0, 0.0, 0.0, 0.0, -1.0]])
    (answer,) = answers(Classification(classes=NAMES), outputs, torch.tensor([4]))
    assert (answer.true, answer.predicted) == ("e", "a")
    assert answer.probability == pytest.approx(float(outputs.softmax(1)[0, 0]))
    (answer,) = answers(MultiLabel(classes=NAMES), outputs, torch.tensor([[0.0, 0, 0, 0, 1]]))
    # The first tag is the most wrong one.
    assert (answer.true, answer.predicted, answer.tag) == ("e", "a", "a")
    assert answer.probability == pytest.approx(float(outputs.sigmoid()[0, 0]))
    task = Regression(targets=("x", "y"), means=(10.0, 0.0), stds=(2.0, 1.0))
    (answer,) = answers(task, torch.tensor([[1.0, 0.5]]), torch.tensor([[3.0, 0.25]]))
    assert (answer.true, answer.predicted) == ("x 3, y 0.25", "x 12, y 0.5")


def answers(task: Task, outputs: torch.Tensor, targets: torch.Tensor) -> Any:
    return task.answers(statistics_of(task, outputs, targets))
