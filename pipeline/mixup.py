"""MixUp and CutMix of a batch on its device, the same at any world size.

Neighbors in the stream are pairs: positions (p, p + 1), counted from the first of a rank's batch,
so the pairs don't depend on the world size if each rank's batch is even. (seed, p) determines how a
pair is mixed: MixUp blends the two images with a weight drawn from Beta(alpha, alpha) (Zhang et al.
2018, "mixup", arXiv:1710.09412); CutMix swaps a box whose area is drawn from the same distribution
(Yun et al. 2019, "CutMix", arXiv:1905.04899).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import one_hot

from pipeline.arrays import Floats, Integers, Words
from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.on_device import to_device
from pipeline.plan.rng import random_words, uniform, uniforms

# No visit has this number: pairs never share random numbers with samples.
_PURPOSE = 2**62
# Jöhnk's method accepts at least half of the attempts: for one pair in 2^32 all of them fail.
_ATTEMPTS = 32
# The first of a pair's uniform numbers for: MixUp or CutMix, the box's center, the weight.
_CHOICE, _CENTER, _BETA = 0, 1, 3


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """Mixes the batches of one rank.

    Attributes:
        classes: number of classes.
        mixup_alpha, cutmix_alpha: from 0, which disables it, to 1; with both, each pair gets one of
            them with equal probability.
        offset: positions from a step's first to the rank's first.
    """

    seed: int
    classes: int
    mixup_alpha: float
    cutmix_alpha: float
    offset: int = 0

    def __call__(
        self, images: torch.Tensor, labels: torch.Tensor, position: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix a batch.

        Args:
            images: (B, 3, H, W), B even; uint8 or floating point.
            labels: int64 (B,).
            position: first position of the step.

        Returns:
            mixed images of the same dtype (uint8 is rounded), and float32 (B, classes), the weight
            of each class in an image.
        """
        count, _, height, width = images.shape
        pairs = position + self.offset + np.arange(0, count, 2)
        weights, boxes = self.mix_parameters(pairs, height, width)
        top, bottom, left, right = boxes.T
        areas = (bottom - top) * (right - left)
        label_weights = np.where(areas > 0, 1 - areas / (height * width), weights)
        # float32 has all integers up to 2^24. Masks of (P, H, W) from the host would be 24 MiB.
        numbers = np.column_stack([weights, label_weights, boxes]).astype(np.float32)
        weight, label_weight, *box = to_device(torch.from_numpy(numbers), images.device).unbind(1)
        pixel_weight = _pixel_weights(weight, box, (height, width))
        mixed = _mix_pairs(images.float(), pixel_weight[:, None])
        if images.dtype == torch.uint8:
            mixed = mixed.round()
        targets = _mix_pairs(one_hot(labels, self.classes).float(), label_weight[:, None])
        return mixed.to(images.dtype, memory_format=torch.channels_last), targets

    def mix_parameters(self, pairs: Integers, height: int, width: int) -> tuple[Floats, Integers]:
        """For pairs at positions (P,): the weight of each image in its own place outside the box,
        float64 (P,), and the swapped box (top, bottom, left, right), int64 (P, 4), 0 for MixUp."""
        keys = random_words(self.seed, _PURPOSE, pairs)
        probability = 0.5 if self.mixup_alpha else 1.0
        is_cutmix = (uniform(keys, _CHOICE) < probability) & (self.cutmix_alpha > 0)
        weight = beta(keys, np.where(is_cutmix, self.cutmix_alpha, self.mixup_alpha))
        boxes = _cutmix_boxes(uniforms(keys, _CENTER, 2), weight, height, width)
        return np.where(is_cutmix, 1.0, weight), boxes * is_cutmix[:, None]


def mixing(
    config: PipelineConfig, *, classes: int, batch_size: int, rank: int = 0
) -> Mixing | None:
    """The mixing that `config` selects, None if it selects none.

    `batch_size` is per rank; raises ``MisuseError`` if it is odd.
    """
    if not (config.mixup_alpha or config.cutmix_alpha):
        return None
    if batch_size % 2:
        raise MisuseError(
            f"--mixup-alpha and --cutmix-alpha mix pairs, but a rank's batch has {batch_size} "
            f"images: use a --global-batch-size that makes it even."
        )
    return Mixing(
        seed=config.seed,
        classes=classes,
        mixup_alpha=config.mixup_alpha,
        cutmix_alpha=config.cutmix_alpha,
        offset=rank * batch_size,
    )


def beta(keys: Words, alpha: Floats) -> Floats:
    """One sample of Beta(alpha, alpha) for each key, for alpha (B,) in (0, 1].

    Jöhnk's method (1964): x / (x + y) of x = u^(1/alpha) and y = v^(1/alpha), if x + y <= 1.
    Computed as logarithms, because u^(1/alpha) underflows for small alpha.
    """
    positive = 1 - uniforms(keys, _BETA, 2 * _ATTEMPTS)  # in (0, 1], for the logarithm
    x, y = np.split(np.log(positive) / alpha[:, None], 2, axis=1)
    total = np.logaddexp(x, y)
    rows, attempt = np.arange(len(keys)), (total <= 0).argmax(axis=1)
    values: Floats = np.exp(x[rows, attempt] - total[rows, attempt])
    return values


def _cutmix_boxes(centers: Floats, weight: Floats, height: int, width: int) -> Integers:
    """Boxes (top, bottom, left, right), int64 (P, 4), around `centers` (y, x) in fractions of the
    image; `weight` is the fraction of the image outside the box, before the box is clipped."""
    size = np.array([height, width])
    center = np.floor(centers * size)
    half = np.floor(np.sqrt(1 - weight)[:, None] * size / 2)
    start, end = (center - half).clip(0), np.minimum(center + half, size)
    return np.stack([start[:, 0], end[:, 0], start[:, 1], end[:, 1]], axis=1).astype(np.int64)


def _pixel_weights(
    weight: torch.Tensor, box: Sequence[torch.Tensor], size: tuple[int, int]
) -> torch.Tensor:
    """The weight of an image in each of its own pixels, float32 (P, H, W): `weight` (P,), but 0 in
    the `box`, its four sides (P,)."""
    top, bottom, left, right = (side[:, None] for side in box)
    rows, columns = (torch.arange(side, device=weight.device)[None] for side in size)
    inside_rows = (rows >= top) & (rows < bottom)
    inside_columns = (columns >= left) & (columns < right)
    inside = inside_rows[:, :, None] & inside_columns[:, None]
    return weight[:, None, None].masked_fill(inside, 0)


def _mix_pairs(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Blend each value (B, ...) with its partner's; `weight` (P, ...) is its own."""
    weight = weight.repeat_interleave(2, 0)
    partners = values[torch.arange(len(values), device=values.device) ^ 1]
    return values * weight + partners * (1 - weight)
