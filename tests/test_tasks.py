"""What each task counts, against its definition or scikit-learn's, in parts of any size."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, r2_score
from torch.nn.functional import cross_entropy

from trainer.scores import Evaluation
from trainer.tasks import Classification, MultiLabel, Regression, Task

NAMES = ("a", "b", "c")


def evaluated(task: Task, outputs: torch.Tensor, targets: torch.Tensor, *cuts: int) -> Evaluation:
    """The evaluation of the samples in parts that end at `cuts`."""
    parts = [
        task.sums(outputs[first:end], targets[first:end])
        for first, end in pairwise((0, *cuts, len(outputs)))
    ]
    return task.evaluation(torch.stack(parts).sum(0).tolist())


@pytest.mark.parametrize("classes", [2, 3, 5, 11])
def test_top1_and_top5_are_those_of_sorting_every_row(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(40, classes, generator=generator)
    labels = torch.randint(classes, (40,), generator=generator)
    ranks = [
        row.argsort(descending=True).tolist().index(label)
        for row, label in zip(logits, labels.tolist(), strict=True)
    ]
    task = Classification(classes=tuple(map(str, range(classes))), label_smoothing=0.3)
    evaluation = evaluated(task, logits, labels, 7, 31)
    assert evaluation.counts == {
        "top1_correct": sum(rank == 0 for rank in ranks),
        "top5_correct": sum(rank < 5 for rank in ranks),
    }
    assert evaluation.loss == pytest.approx(float(cross_entropy(logits, labels)), rel=1e-5)


def test_average_precision_is_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    # Multiples of the thresholds' distance, many of them ties: nothing is lost to the thresholds.
    outputs = torch.randint(-64, 64, (300, 3), generator=generator) / 32
    targets = (torch.rand(300, 3, generator=generator) < (outputs + 3) / 6).float()
    targets[:, 2] = 0
    evaluation = evaluated(MultiLabel(classes=NAMES), outputs, targets, 100, 101)
    assert evaluation.by_name == {
        name: pytest.approx(average_precision_score(targets[:, column], outputs[:, column]))
        for column, name in enumerate(NAMES[:2])
    }
    assert evaluation.metrics["mean_average_precision"] == pytest.approx(
        sum(evaluation.by_name.values()) / 2
    )


def test_r2_is_scikit_learns_in_any_unit() -> None:
    generator = np.random.default_rng(0)
    targets = generator.normal((5, -3e4, 0.01), (2, 1e3, 1e-3), (50, 3)).astype(np.float32)
    task = Regression(
        targets=NAMES,
        means=tuple(targets.mean(0).tolist()),
        deviations=tuple(targets.std(0).tolist()),
    )
    outputs = (targets - task.means) / task.deviations + generator.normal(0, 0.4, (50, 3))
    expected = r2_score(targets, outputs * task.deviations + task.means, multioutput="raw_values")
    split = [torch.from_numpy(array).float() for array in (outputs, targets)]
    evaluation = evaluated(task, *split, 20)
    assert list(evaluation.by_name.values()) == pytest.approx(expected.tolist(), rel=1e-4)
    assert evaluation.metrics["r2"] == pytest.approx(expected.mean(), rel=1e-4)
    assert evaluation.loss == pytest.approx(float(task.loss(*split)), rel=1e-5)


@pytest.mark.parametrize(
    "task",
    [
        Classification(classes=NAMES),
        MultiLabel(classes=NAMES),
        Regression(targets=NAMES, means=(0, 0, 0), deviations=(1, 2, 3)),
    ],
)
def test_damaged_samples_do_not_count(task: Task) -> None:
    outputs = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    if isinstance(task, Classification):
        targets, missing = torch.arange(10) % 3, torch.tensor(-1)
    else:
        targets, missing = (torch.arange(30) % 4 == 0).float().view(10, 3), torch.tensor(torch.nan)
    known = evaluated(task, outputs[:7], targets[:7])
    targets[7:] = missing
    assert evaluated(task, outputs, targets, 4).as_record() == pytest.approx(known.as_record())
    assert known.samples == 7
