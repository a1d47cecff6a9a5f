"""Metrics of each task equal their definition or scikit-learn's, in batches of any size."""

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
from tests.helpers.task_statistics import evaluation_of
from trainer.tasks.classification import Classification
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task

NAMES = ("a", "b", "c")


@pytest.mark.parametrize("classes", [2, 3, 5, 11])
def test_top1_and_top5_equal_those_of_sorted_logits(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(40, classes, generator=generator)
    labels = torch.randint(classes, (40,), generator=generator)
    ranks = [
        row.argsort(descending=True).tolist().index(label)
        for row, label in zip(logits, labels.tolist(), strict=True)
    ]
    task = Classification(classes=tuple(map(str, range(classes))), label_smoothing=0.3)
    evaluation = evaluation_of(task, logits, labels, 7, 31)
    assert evaluation.counts == {
        "top1_correct": sum(rank == 0 for rank in ranks),
        "top5_correct": sum(rank < 5 for rank in ranks),
    }
    assert evaluation.loss == pytest.approx(float(cross_entropy(logits, labels)), rel=1e-5)


def test_average_precision_equals_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    # Many of them are ties.
    outputs = torch.randint(-64, 64, (300, 3), generator=generator) / 32
    targets = (torch.rand(300, 3, generator=generator) < (outputs + 3) / 6).float()
    targets[:, 2] = 0
    evaluation = evaluation_of(MultiLabel(classes=NAMES), outputs, targets, 100, 101)
    assert evaluation.by_name == {
        name: pytest.approx(average_precision_score(targets[:, column], outputs[:, column]))
        for column, name in enumerate(NAMES[:2])
    }
    assert evaluation.metrics["mean_average_precision"] == pytest.approx(
        sum(evaluation.by_name.values()) / 2
    )


def test_r2_equals_scikit_learn_in_any_unit() -> None:
    generator = np.random.default_rng(0)
    targets = generator.normal((5, -3e4, 0.01), (2, 1e3, 1e-3), (50, 3)).astype(np.float32)
    task = Regression(
        targets=NAMES, means=tuple(targets.mean(0).tolist()), stds=tuple(targets.std(0).tolist())
    )
    outputs = (targets - task.means) / task.stds + generator.normal(0, 0.4, (50, 3))
    expected = r2_score(targets, outputs * task.stds + task.means, multioutput="raw_values")
    split = [torch.from_numpy(array).float() for array in (outputs, targets)]
    evaluation = evaluation_of(task, *split, 20)
    assert list(evaluation.by_name.values()) == pytest.approx(expected.tolist(), rel=1e-4)
    assert evaluation.metrics["r2"] == pytest.approx(expected.mean(), rel=1e-4)
    assert evaluation.loss == pytest.approx(float(task.loss(*split)), rel=1e-5)


def pixels(images: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs and targets of 4 classes; the last is never true nor predicted, and a fifth of the
    pixels is VOID."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(images, 4, 6, 5, generator=generator)
    outputs[:, 3] = -9
    targets = torch.randint(3, (images, 6, 5), generator=generator).to(torch.uint8)
    targets[torch.rand(images, 6, 5, generator=generator) < 0.2] = VOID
    return outputs, targets


def test_iou_equals_scikit_learn_exactly_in_any_batches() -> None:
    outputs, targets = pixels(12)
    labeled = targets != VOID
    truth, predicted = targets[labeled].numpy(), outputs.argmax(1)[labeled].numpy()
    task = Segmentation(classes=(*NAMES, "d"))
    evaluation = evaluation_of(task, outputs, targets)
    expected = jaccard_score(truth, predicted, average=None, labels=range(3))
    assert list(evaluation.by_name.items()) == list(zip(NAMES, expected.tolist(), strict=True))
    assert evaluation.metrics["mean_iou"] == pytest.approx(expected.mean())
    assert evaluation.metrics["pixel_accuracy"] == accuracy_score(truth, predicted)
    assert evaluation.counts == {"pixels": len(truth), "pixels_correct": (truth == predicted).sum()}
    assert evaluation.confusion is not None
    expected_counts = confusion_matrix(truth, predicted, labels=range(4))
    np.testing.assert_array_equal(evaluation.confusion, expected_counts)
    in_batches = evaluation_of(task, outputs, targets, 1, 5, 6)
    assert (in_batches.metrics, in_batches.by_name) == (evaluation.metrics, evaluation.by_name)


def test_void_pixels_and_the_batch_size_do_not_change_the_loss() -> None:
    task, (outputs, targets) = Segmentation(classes=(*NAMES, "d")), pixels(6)
    image_losses = [
        float(cross_entropy(out[:, target != VOID].T, target[target != VOID].long()))
        for out, target in zip(outputs, targets, strict=True)
    ]
    assert float(task.loss(outputs, targets)) == pytest.approx(np.mean(image_losses))
    assert evaluation_of(task, outputs, targets).loss == pytest.approx(np.mean(image_losses))
    both = torch.stack([outputs, outputs / 2], dim=1)
    expected = task.loss(outputs, targets) + 0.5 * task.loss(outputs / 2, targets)
    assert float(task.loss(both, targets)) == pytest.approx(float(expected))
    unlabeled = torch.full_like(targets, VOID)
    assert float(task.loss(outputs, unlabeled)) == 0


@pytest.mark.parametrize(
    "task",
    [
        Classification(classes=NAMES),
        MultiLabel(classes=NAMES),
        Regression(targets=NAMES, means=(0, 0, 0), stds=(1, 2, 3)),
        Segmentation(classes=NAMES),
    ],
)
def test_samples_without_a_label_do_not_count(task: Task) -> None:
    outputs = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    if isinstance(task, Segmentation):
        outputs = outputs.view(10, 3, 1, 1).repeat(1, 1, 2, 4)
        targets = torch.arange(80, dtype=torch.uint8).view(10, 2, 4) % 3
        missing = torch.tensor(VOID, dtype=torch.uint8)
    elif isinstance(task, Classification):
        targets, missing = torch.arange(10) % 3, torch.tensor(-1)
    else:
        targets, missing = (torch.arange(30) % 4 == 0).float().view(10, 3), torch.tensor(torch.nan)
    expected = evaluation_of(task, outputs[:7], targets[:7])
    targets[7:] = missing
    assert evaluation_of(task, outputs, targets, 4).as_record() == pytest.approx(
        expected.as_record()
    )
    assert expected.samples == 7
