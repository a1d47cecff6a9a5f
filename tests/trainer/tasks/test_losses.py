"""--loss: formulas, mixed and smoothed targets, weights, and which task has which."""

import dataclasses
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot
from torchvision.ops import sigmoid_focal_loss

from pipeline.errors import MisuseError
from pipeline.storage.manifest import VOID
from trainer.task_options import with_loss
from trainer.tasks.classification import Classification
from trainer.tasks.metric_names import TASK_LOSSES
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import TASKS, Task, task_from_record, task_record

NAMES, WEIGHTS = ("a", "b", "c"), (0.5, 1.0, 3.0)
GENERATOR = torch.Generator().manual_seed(1)
OUTPUTS = 3 * torch.randn(8, 3, generator=GENERATOR)
LABELS = torch.randint(3, (8,), generator=GENERATOR)
MIXED = torch.rand(8, 3, generator=GENERATOR).softmax(1)
MASKS = torch.randint(3, (8, 4, 4), generator=GENERATOR).to(torch.uint8)
PIXELS = 3 * torch.randn(8, 3, 4, 4, generator=GENERATOR)

CASES: dict[str, tuple[Task, torch.Tensor, torch.Tensor]] = {
    "classes": (Classification(classes=NAMES), OUTPUTS, LABELS),
    "mixed": (Classification(classes=NAMES, label_smoothing=0.2), OUTPUTS, MIXED),
    "weighted": (Classification(classes=NAMES, class_weights=WEIGHTS), OUTPUTS, LABELS),
    "multi-label": (MultiLabel(classes=NAMES), OUTPUTS, (MIXED > 0.3).float()),
    "masks": (Segmentation(classes=NAMES, class_weights=WEIGHTS), PIXELS, MASKS),
}


def by_hand(loss: str, smoothing: float, weights: Any, targets: torch.Tensor) -> torch.Tensor:
    """The loss of each of 8 images of OUTPUTS, in float64, from the definition."""
    shares = targets.double() if targets.ndim == 2 else one_hot(targets, 3).double()
    smooth = shares * (1 - smoothing) + smoothing / 3
    factors, outputs = torch.tensor(weights or (1.0,) * 3).double(), OUTPUTS.double()
    if loss == "focal":
        p = outputs.exp() / outputs.exp().sum(1, keepdim=True)
        return (smooth * (1 - p) ** 2 * -p.log() * factors).sum(1)
    p = 1 / (1 + (-outputs).exp())
    return -(smooth * p.log() + (1 - smooth) * (1 - p).log()).mean(1) * (smooth @ factors)


@pytest.mark.parametrize("loss", ["focal", "bce"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("targets", [LABELS, MIXED], ids=["labels", "mixed"])
def test_losses_of_classes_equal_their_definition(
    loss: str, smoothing: float, weights: Any, targets: torch.Tensor
) -> None:
    task = Classification(
        classes=NAMES, label_smoothing=smoothing, class_weights=weights, loss_name=loss
    )
    expected = by_hand(loss, smoothing, weights, targets).mean()
    torch.testing.assert_close(task.loss(OUTPUTS, targets).double(), expected)


def test_the_focal_loss_of_labels_equals_torchvisions() -> None:
    targets = (MIXED > 0.3).float()
    loss = MultiLabel(classes=NAMES, loss_name="focal").loss(OUTPUTS, targets)
    expected = sigmoid_focal_loss(OUTPUTS, targets, alpha=-1, gamma=2, reduction="mean")
    torch.testing.assert_close(loss, expected)


def test_the_focal_loss_of_pixels_is_that_of_classes() -> None:
    masks = MASKS.clone()
    masks[0, 0] = VOID
    loss = Segmentation(classes=NAMES, loss_name="focal").loss(PIXELS, masks)
    classes = Classification(classes=NAMES, loss_name="focal")
    images = []
    for outputs, mask in zip(PIXELS, masks, strict=True):
        labeled = mask != VOID
        images.append(classes.loss(outputs[:, labeled].T, mask[labeled].long()))
    torch.testing.assert_close(loss, torch.stack(images).mean())


def test_right_and_sure_outputs_count_less_than_in_cross_entropy() -> None:
    outputs = torch.tensor([[4.0, 0.0, 0.0], [0.0, 0.0, 4.0]])
    labels = torch.tensor([0, 0])
    focal = [Classification(classes=NAMES, loss_name="focal").loss(o[None], t[None]) for o, t in
             zip(outputs, labels, strict=True)]  # fmt: skip
    plain = cross_entropy(outputs, labels, reduction="none")
    assert focal[0] < 0.01 * plain[0] and focal[1] > 0.9 * plain[1]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("loss", ["cross-entropy", "focal", "bce"])
def test_ranks_have_the_same_sums(case: str, loss: str) -> None:
    task, outputs, targets = CASES[case]
    if loss not in TASK_LOSSES[task_record(task)["task"]]:
        pytest.skip("the task has no such loss")
    task = dataclasses.replace(task, loss_name=loss)  # type: ignore[type-var]
    whole, outputs = task.loss(outputs, targets), outputs.clone().requires_grad_()
    for ranks in (2, 4, 8):
        shares = zip(outputs.chunk(ranks), targets.chunk(ranks), strict=True)
        torch.testing.assert_close(sum(task.loss(*share) for share in shares) / ranks, whole)
    gradient = torch.autograd.grad(task.loss(outputs, targets), outputs)[0]
    assert gradient.isfinite().all() and gradient.any()


@pytest.mark.parametrize("loss", ["focal", "bce"])
def test_extreme_outputs_stay_finite(loss: str) -> None:
    outputs = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    for label in range(3):
        value = Classification(classes=NAMES, loss_name=loss).loss(outputs, torch.tensor([label]))
        assert torch.autograd.grad(value, outputs)[0].isfinite().all() and value.isfinite()


@pytest.mark.parametrize(
    ("task", "loss", "message"),
    [
        (MultiLabel(classes=NAMES), "cross-entropy", "multi-label .* one of bce, focal"),
        (Segmentation(classes=NAMES), "bce", "segmentation .* one of cross-entropy, focal"),
        (
            Regression(targets=NAMES, means=WEIGHTS, stds=WEIGHTS),
            "focal",
            "regression .*: remove it",
        ),
    ],
)
def test_rejects_a_loss_that_a_task_does_not_have(task: Task, loss: str, message: str) -> None:
    with pytest.raises(MisuseError, match=f"--loss {loss}: shards for {message}"):
        with_loss(task, loss)
    assert with_loss(task, "auto") == task


def test_a_task_keeps_its_loss_in_its_record() -> None:
    assert TASK_LOSSES.keys() == TASKS.keys()
    task = with_loss(CASES["mixed"][0], "focal")
    assert task_from_record(task_record(task)) == task
