"""Options of the command, and how much its parts measure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from benchmarks.datasets.photographs import DEFAULT_FOLDER as DATA_FOLDER
from pipeline.options import POSITIVE, Options, setting

COMPUTE, DECODE, TRAIN = GROUPS = ("compute", "decode", "train")
# Less than a part needs to import torch.
MIN_PART_SECONDS = 5.0


class Names(click.ParamType[tuple[str, ...]]):
    """one,two on the command line, ("one", "two") in Python."""

    name = "NAMES"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[str, ...]:
        return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


@dataclass(frozen=True, kw_only=True)
class GpuRun(Options):
    out: str = setting(
        "on_gpu",
        "Folder for results.jsonl, parts.log and tables.md. Results in it stay, and the tables "
        "show them, too.",
        type=click.Path(file_okay=False),
    )
    src: str | None = setting(
        None,
        "Folder of photographs.  [default: synthetic pictures]",
        type=click.Path(exists=True, file_okay=False),
    )
    data: str = setting(str(DATA_FOLDER), "Folder for shards, which are written once.")
    device: Literal["cpu", "cuda"] = setting(
        "cuda", "Device; cpu runs small versions of the parts."
    )
    parts: tuple[str, ...] | None = setting(
        None,
        f"Parts or groups of parts, separated by commas. The groups are {', '.join(GROUPS)}; "
        f"{COMPUTE} does not need DALI.  [default: all]",
        type=Names(),
        metavar="NAMES",
    )
    deadline: float | None = setting(
        None,
        "Seconds after which the command ends: a part that still runs is stopped, and the others "
        "are skipped.  [default: none]",
        POSITIVE,
    )

    @property
    def amounts(self) -> "Amounts":
        return AMOUNTS[self.device]

    @property
    def data_folder(self) -> Path:
        return Path(self.data).absolute()


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """
    Attributes:
        images: of the shards; the photographs are repeated.
        runs, seconds: measured repetitions of a configuration, and the duration of each.
        train_seconds: duration of a training; a multiple if the model is compiled first.
        train_steps: length of a training instead, however busy the machine is.
        log_every: steps between the records of a training.
        pictures: photographs that the decoders decode.
        hashed_batches: batches whose pixels are compared.
    """

    model: str
    image_size_px: int
    batch_size: int
    images: int
    runs: int
    seconds: float
    train_seconds: float
    train_steps: int | None
    precision: str
    log_every: int
    pictures: int
    hashed_batches: int


AMOUNTS = {
    "cuda": Amounts(
        model="resnet50",
        image_size_px=224,
        batch_size=256,
        images=4800,
        runs=3,
        seconds=1.0,
        train_seconds=15.0,
        train_steps=None,
        precision="bf16",
        log_every=10,
        pictures=200,
        hashed_batches=100,
    ),
    "cpu": Amounts(
        model="resnet8",
        image_size_px=32,
        batch_size=8,
        images=48,
        runs=1,
        seconds=0.05,
        train_seconds=1.0,
        train_steps=6,
        # Threads of bfloat16 wait for each other for long where other programs run.
        precision="fp32",
        log_every=1,
        pictures=16,
        hashed_batches=6,
    ),
}
