"""Options of bench-compute."""

from dataclasses import dataclass
from typing import Literal

import click

from benchmarks.measuring.config import Measuring
from pipeline.errors import MisuseError
from pipeline.options import COUNT, Bounds, setting

# The share of a bare loop's rate that the trainer's loop should reach.
TARGET = 0.98
BATCH_SIZES = {"cpu": (4, 8, 16), "cuda": (32, 64, 128, 256)}
CONTIGUOUS, CHANNELS_LAST, COMPILED, GRAPHS = MODES = (
    *("contiguous", "channels-last"),
    *("compiled", "graphs"),
)


@dataclass(frozen=True, kw_only=True)
class ComputeBenchmark(Measuring):
    model: str = setting("resnet50", "Name of a torchvision classifier.")
    image_size: int = setting(224, "Side of the images in px.", COUNT)
    batch_size: tuple[int, ...] = setting(
        (), "Batch size of a rank; can be repeated.  [default: several]", COUNT
    )
    mode: tuple[str, ...] = setting(
        (),
        "Execution of the model: eager in contiguous or channels-last memory format, compiled, or "
        "compiled with CUDA graphs; can be repeated.  [default: channels-last; on a GPU all]",
        type=(click.Choice(MODES),),
    )
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = setting(
        "auto", "As the trainer's --precision."
    )
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "As the trainer's --device.")
    seconds: float = setting(1.0, "Minimum duration of a repetition.", Bounds(low=0.001))
    bare: bool = setting(
        False, "Compare the trainer's steps with a bare forward, backward and update instead."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bare and (len(self.batch_size) > 1 or len(self.mode) > 1):
            raise MisuseError("--bare takes one --batch-size and one --mode.")
