"""Compares an exported file with the network in torch, on images of the run."""

import dataclasses
from collections.abc import Callable

import torch
from click import ClickException
from torch.nn.functional import interpolate

from pipeline.build import val_loader
from trainer.trained_run import TrainedRun

# The largest difference, in parts of the largest output.
TOLERANCE = 1e-4
# Numbers of images in a batch.
BATCHES = (1, 7)
# What the sides of other images are larger by, where any size is taken.
_LARGER_PX = (32, 64)


def images_of(run: TrainedRun, count: int) -> tuple[torch.Tensor, str]:
    """uint8 (`count`, 3, H, W): images of the run's validation split, again from the first if it
    has fewer; random ones if the shards are not there. Second, what they are, for people."""
    side_px = run.data.image_size_px
    try:
        dataset = run.open_shards(None)
        pipeline = dataclasses.replace(
            run.pipeline, shards=dataset.location, fold=run.fold_of(dataset)
        )
        with val_loader(dataset, pipeline, batch_size=count, device=torch.device("cpu")) as batches:
            images = next(iter(batches)).images.clone()
        images = images[torch.arange(count) % len(images)]
        return images, f"images of the validation split of {dataset.location}"
    except (ClickException, StopIteration) as error:
        reason = error.format_message() if isinstance(error, ClickException) else "it has no images"
        generator = torch.Generator().manual_seed(0)
        size = (count, 3, side_px, side_px)
        images = torch.randint(256, size, dtype=torch.uint8, generator=generator)
        return images, f"random images, for the validation split is not there ({reason})"


def enlarged(images: torch.Tensor) -> torch.Tensor:
    """uint8 (B, 3, H, W) in another size, which is not square."""
    size = [side + more for side, more in zip(images.shape[2:], _LARGER_PX, strict=True)]
    return interpolate(images.float(), size, mode="bilinear").round().to(torch.uint8)


@torch.no_grad()
def largest_difference(
    outputs: Callable[[torch.Tensor], torch.Tensor],
    expected: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
) -> float:
    """The largest difference of two functions of `images`, over BATCHES of them, as a fraction of
    the largest expected output; infinite if the shapes differ or a number is not finite."""
    pairs = [(outputs(images[:count]), expected(images[:count])) for count in BATCHES]
    for ours, theirs in pairs:
        if ours.shape != theirs.shape or not (ours.isfinite().all() and theirs.isfinite().all()):
            return float("inf")
    largest = max(float(theirs.abs().max()) for _, theirs in pairs)
    return max(float((ours - theirs).abs().max()) for ours, theirs in pairs) / (largest or 1.0)
