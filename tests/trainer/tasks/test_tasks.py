"""What each task counts, against its definition or scikit-learn's, in parts of any size."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    jaccard_score,
    r2_score,
)
from torch.nn.functional import cross_entropy

from pipeline.storage.manifest import VOID
from trainer.tasks.scores import Evaluation
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Classification, MultiLabel, Regression, Task

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


def pixels(images: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs and targets of 4 classes, of which the last is never right nor taken; a fifth of the
    pixels is VOID."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(images, 4, 6, 5, generator=generator)
    outputs[:, 3] = -9
    targets = torch.randint(3, (images, 6, 5), generator=generator).to(torch.uint8)
    targets[torch.rand(images, 6, 5, generator=generator) < 0.2] = VOID
    return outputs, targets


def test_intersection_over_union_is_scikit_learns_to_the_last_digit_in_any_parts() -> None:
    outputs, targets = pixels(12)
    known = targets != VOID
    truth, taken = targets[known].numpy(), outputs.argmax(1)[known].numpy()
    task = Segmentation(classes=(*NAMES, "d"))
    evaluation = evaluated(task, outputs, targets)
    expected = jaccard_score(truth, taken, average=None, labels=range(3))
    assert list(evaluation.by_name.items()) == list(zip(NAMES, expected.tolist(), strict=True))
    assert evaluation.metrics["mean_iou"] == pytest.approx(expected.mean())
    assert evaluation.metrics["pixel_accuracy"] == accuracy_score(truth, taken)
    assert evaluation.counts == {"pixels": len(truth), "pixels_correct": (truth == taken).sum()}
    cells = task.cells(task.sums(outputs, targets).tolist())
    np.testing.assert_array_equal(cells, confusion_matrix(truth, taken, labels=range(4)))
    in_parts = evaluated(task, outputs, targets, 1, 5, 6)
    assert (in_parts.metrics, in_parts.by_name) == (evaluation.metrics, evaluation.by_name)


def test_pixels_that_say_nothing_and_the_parts_of_a_batch_do_not_change_the_loss() -> None:
    task, (outputs, targets) = Segmentation(classes=(*NAMES, "d")), pixels(6)
    alone = [
        float(cross_entropy(out[:, target != VOID].T, target[target != VOID].long()))
        for out, target in zip(outputs, targets, strict=True)
    ]
    assert float(task.loss(outputs, targets)) == pytest.approx(np.mean(alone))
    assert evaluated(task, outputs, targets).loss == pytest.approx(np.mean(alone))
    both = torch.stack([outputs, outputs / 2], dim=1)
    expected = task.loss(outputs, targets) + 0.5 * task.loss(outputs / 2, targets)
    assert float(task.loss(both, targets)) == pytest.approx(float(expected))
    silent = torch.full_like(targets, VOID)
    assert float(task.loss(outputs, silent)) == 0


@pytest.mark.parametrize(
    "task",
    [
        Classification(classes=NAMES),
        MultiLabel(classes=NAMES),
        Regression(targets=NAMES, means=(0, 0, 0), deviations=(1, 2, 3)),
        Segmentation(classes=NAMES),
    ],
)
def test_damaged_samples_do_not_count(task: Task) -> None:
    outputs = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    if isinstance(task, Segmentation):
        outputs = outputs.view(10, 3, 1, 1).repeat(1, 1, 2, 4)
        targets = torch.arange(80, dtype=torch.uint8).view(10, 2, 4) % 3
        missing = torch.tensor(VOID, dtype=torch.uint8)
    elif isinstance(task, Classification):
        targets, missing = torch.arange(10) % 3, torch.tensor(-1)
    else:
        targets, missing = (torch.arange(30) % 4 == 0).float().view(10, 3), torch.tensor(torch.nan)
    known = evaluated(task, outputs[:7], targets[:7])
    targets[7:] = missing
    assert evaluated(task, outputs, targets, 4).as_record() == pytest.approx(known.as_record())
    assert known.samples == 7
