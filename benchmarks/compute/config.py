"""Options of bench-compute."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from benchmarks.measuring.config import Measuring
from pipeline.options import setting

if TYPE_CHECKING:
    pass


# The trainer's loop must reach this share of a bare loop's rate.
BAR = 0.98
BATCH_SIZES = {"cpu": (4, 8, 16), "cuda": (32, 64, 128, 256)}
MODES = ("contiguous", "channels-last", "compiled", "graphs")


@dataclass(frozen=True, kw_only=True)
class ComputeBenchmark(Measuring):
    model: str = setting("resnet50", "Any torchvision classifier, by its name there.")
    image_size: int = setting(224, "Side of the images in px.", low=1)
    batch_size: tuple[int, ...] = setting(
        (), "Images of a rank's step; may be given several times.  [default: a sweep]", low=1
    )
    mode: tuple[str, ...] = setting(
        (),
        "How the model runs: eager in contiguous or channels-last memory, compiled, or compiled "
        "with CUDA graphs; may be given several times.  [default: channels-last; on a GPU all]",
        type=(click.Choice(MODES),),
    )
    precision: str = setting(
        "auto",
        "As the trainer's.",
        type=click.Choice(["auto", "fp32", "tf32", "bf16", "fp16"]),
    )
    device: str = setting("auto", "As the trainer's.", type=click.Choice(["auto", "cpu", "cuda"]))
    seconds: float = setting(1.0, "Least length of a run.", low=0.001)
    bare: bool = setting(
        False, "Measure the trainer's steps beside bare forward, backward and update instead."
    )
