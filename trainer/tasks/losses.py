"""Training losses of classes beside cross entropy. All are sums over what belongs to one image, so
that an image counts the same in any rank's batch."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax, logsigmoid, one_hot

# gamma of the focal loss; 2 works best in the paper (Lin et al. 2017, arXiv:1708.02002).
FOCUS = 2.0


def fractions(targets: torch.Tensor, classes: int, smoothing: float) -> torch.Tensor:
    """The fraction of each class in an image, float32 (B, classes), from int64 (B,) labels or from
    fractions of mixed images, with `smoothing` spread evenly over all classes."""
    whole = targets if targets.is_floating_point() else one_hot(targets, classes).float()
    return whole * (1 - smoothing) + smoothing / classes


def focal_losses(
    outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None
) -> torch.Tensor:
    """float32 (B,): the sum over the classes of fraction x (1 - p)^FOCUS x -log p x weight, p the
    softmax of `outputs` (B, classes): equation 4 of Lin et al. 2017, arXiv:1708.02002, for each
    class of an image."""
    logs = log_softmax(outputs, 1)
    terms = -targets * focus(logs.exp()) * logs
    return (terms if weights is None else terms * weights).sum(1)


def binary_losses(
    outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None
) -> torch.Tensor:
    """float32 (B,): the mean over the classes of the binary cross entropy of each against all
    others (Wightman et al. 2021, arXiv:2110.00476), times the weight of the image's
    class. The targets are fractions, as MixUp and CutMix give them."""
    losses = binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(1)
    return losses if weights is None else losses * (targets @ weights)


def binary_focal_losses(
    outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None
) -> torch.Tensor:
    """float32 (B, classes): the focal loss of each class for itself, p the sigmoid of its output;
    the weight is that of the images that have the class."""
    positive = -targets * focus(outputs.sigmoid()) * logsigmoid(outputs)
    negative = -(1 - targets) * focus(outputs.neg().sigmoid()) * logsigmoid(-outputs)
    return (positive if weights is None else positive * weights) + negative


def focus(probabilities: torch.Tensor) -> torch.Tensor:
    """The factor of the focal loss, which is small where the right class is probable already."""
    return (1 - probabilities).pow(FOCUS)
