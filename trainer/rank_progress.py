"""The progress of images that the ranks share, as rank 0 shows it."""

from contextlib import AbstractContextManager

from rich.console import Console

from pipeline.progress import ProgressCallback, counted_progress
from trainer.distributed.collectives import World


def images_progress(
    console: Console, verb: str, images: int, world: World
) -> AbstractContextManager[ProgressCallback]:
    """Show the share, the time left and the rate of `images` of all ranks.

    The result counts the images of this rank; those of rank 0 stand for all.
    """
    return counted_progress(
        console,
        verb,
        images / world.world_size,
        unit="images",
        scale=1 / world.world_size,
        shown=world.rank == 0,
    )
