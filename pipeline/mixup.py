"""MixUp and CutMix on the device, after the batch, the same at any world size.

Neighbors in the stream are pairs: positions (p, p + 1), counted from the first of a rank's batch.
All world sizes agree on them as long as each rank's batch is even. How a pair is mixed is a
function of (seed, p): each keeps a share drawn from Beta(alpha, alpha) of every pixel (Zhang et al.
2018, "mixup", arXiv:1710.09412), or all but a window that the two swap, its size drawn so (Yun et
al. 2019, "CutMix", arXiv:1905.04899).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import one_hot

from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.plan.crops import draws
from pipeline.plan.rng import Words, random_words, uniform

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# No visit to a sample has this number: pairs and samples never share their draws.
_PURPOSE = 2**62
# Jöhnk's method accepts every second attempt or more: one pair in 2^32 finds none.
_ATTEMPTS = 32
_COIN, _PLACE, _BETA = 0, 1, 3


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """How a rank mixes its batches.

    Attributes:
        mixup_alpha, cutmix_alpha: from 0, which leaves that way out, to 1; with both, a coin is
            tossed for each pair.
        offset: from a step's first position to the rank's.
    """

    seed: int
    classes: int
    mixup_alpha: float
    cutmix_alpha: float
    offset: int = 0

    def __call__(
        self, images: torch.Tensor, labels: torch.Tensor, position: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and labels of a step's batch, mixed.

        Args:
            images: (B, 3, H, W), B even; uint8, which is rounded to, or floating point.
            labels: int64 (B,).
            position: of the step.

        Returns:
            images as they came, and float32 (B, classes), each class's share of an image.
        """
        count, _, height, width = images.shape
        pairs = position + self.offset + np.arange(0, count, 2)
        kept, windows = self.drawn(pairs, height, width)
        shares = np.where(_areas(windows) > 0, 1 - _areas(windows) / (height * width), kept)
        keeps = _pixels_kept(kept, windows, (height, width)).to(images.device)
        share = torch.from_numpy(shares.astype(np.float32)).to(images.device)
        mixed = _mixed(images.float(), keeps.repeat_interleave(2, 0)[:, None])
        if images.dtype == torch.uint8:
            mixed = mixed.round()
        targets = _mixed(one_hot(labels, self.classes).float(), share.repeat_interleave(2)[:, None])
        return mixed.to(images.dtype, memory_format=torch.channels_last), targets

    def drawn(self, pairs: Integers, height: int, width: int) -> tuple[Floats, Integers]:
        """What is done to the pairs at positions (P,): the share that each image keeps where it
        isn't swapped, (P,), and the window (top, bottom, left, right) that is, (P, 4)."""
        keys = random_words(self.seed, _PURPOSE, pairs)
        chance = 0.5 if self.mixup_alpha else 1.0
        cuts = (uniform(keys, _COIN) < chance) & (self.cutmix_alpha > 0)
        share = beta(keys, np.where(cuts, self.cutmix_alpha, self.mixup_alpha))
        windows = _windows(draws(keys, _PLACE, 2), share, height, width)
        return np.where(cuts, 1.0, share), windows * cuts[:, None]


def mixing(
    config: PipelineConfig, *, classes: int, batch_size: int, rank: int = 0
) -> Mixing | None:
    """What `config` asks for, None if nothing; ``MisuseError`` where a rank's batch is odd."""
    if not (config.mixup_alpha or config.cutmix_alpha):
        return None
    if batch_size % 2:
        raise MisuseError(
            f"--mixup-alpha and --cutmix-alpha mix pairs, but a rank's batch has {batch_size} "
            f"images: take a --global-batch-size that makes it even."
        )
    return Mixing(
        seed=config.seed,
        classes=classes,
        mixup_alpha=config.mixup_alpha,
        cutmix_alpha=config.cutmix_alpha,
        offset=rank * batch_size,
    )


def beta(keys: Words, alpha: Floats) -> Floats:
    """One draw from Beta(alpha, alpha) for each key, alpha (B,) in (0, 1].

    By Jöhnk's method (1964): x = u^(1/alpha) of x + y, where that is at most 1; as logarithms,
    since u^(1/alpha) is 0 in floating point where alpha is small.
    """
    uniforms = 1 - draws(keys, _BETA, 2 * _ATTEMPTS)  # (0, 1]: of 0 there is no logarithm
    x, y = np.split(np.log(uniforms) / alpha[:, None], 2, axis=1)
    total = np.logaddexp(x, y)
    rows, attempt = np.arange(len(keys)), (total <= 0).argmax(axis=1)
    share: Floats = np.exp(x[rows, attempt] - total[rows, attempt])
    return share


def _windows(place: Floats, share: Floats, height: int, width: int) -> Integers:
    """(top, bottom, left, right), int64 (P, 4), around a place (y, x) in fractions; `share` of the
    image lies outside before what sticks out is cut off."""
    size = np.array([height, width])
    center = np.floor(place * size)
    half = np.floor(np.sqrt(1 - share)[:, None] * size / 2)
    start, end = (center - half).clip(0), np.minimum(center + half, size)
    return np.stack([start[:, 0], end[:, 0], start[:, 1], end[:, 1]], axis=1).astype(np.int64)


def _areas(windows: Integers) -> Integers:
    top, bottom, left, right = windows.T
    areas: Integers = (bottom - top) * (right - left)
    return areas


def _pixels_kept(kept: Floats, windows: Integers, size: tuple[int, int]) -> torch.Tensor:
    """The share of itself that each pixel of a pair's images keeps, float32 (P, H, W)."""
    top, bottom, left, right = torch.from_numpy(windows)[:, :, None].unbind(1)
    rows, columns = (torch.arange(side)[None] for side in size)
    inside_rows = (rows >= top) & (rows < bottom)
    inside_columns = (columns >= left) & (columns < right)
    inside = inside_rows[:, :, None] & inside_columns[:, None]
    return torch.from_numpy(kept).float()[:, None, None].masked_fill(inside, 0)


def _mixed(values: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """`kept` of each value and the rest of its partner's."""
    partners = values[torch.arange(len(values), device=values.device) ^ 1]
    return values * kept + partners * (1 - kept)
