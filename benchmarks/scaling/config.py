"""Options of bench-scaling."""

from dataclasses import dataclass
from typing import Any

import click

from benchmarks.measuring.config import Measuring
from benchmarks.scaling.record import MODES
from pipeline.errors import MisuseError
from pipeline.options import COUNT, Bounds, setting
from trainer.config import Settings


class Ranks(click.ParamType[tuple[int, ...]]):
    """1,2,4 on the command line, (1, 2, 4) in Python: ascending, without duplicates."""

    name = "N,N,..."

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, ...]:
        try:
            ranks = tuple(sorted({int(part) for part in value.split(",")}))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 1,2,4.", parameter, context)
        if ranks[0] < 1:
            self.fail(f"A world size must be at least 1, not {ranks[0]}.", parameter, context)
        return ranks


def require_given_steps(settings: Settings) -> None:
    """Raise ``MisuseError`` if micro-batches are still to be found: their number may change between
    the steps that are compared, and DDP does not exchange their gradients."""
    if settings.recipe.accumulate_steps == "auto":
        raise MisuseError(
            "--accumulate-steps auto is for a training: give the number that one has found."
        )


@dataclass(frozen=True, kw_only=True)
class LadderConfig(Measuring):
    """World sizes, batch size, cores and machines of a stall ladder."""

    ranks: tuple[int, ...] | None = setting(
        None,
        "World sizes, such as 1,2,4.  [default: powers of two up to the number of GPUs; without "
        "GPUs up to the number of cores, at most 8]",
        type=Ranks(),
    )
    batch_size: int | None = setting(
        None,
        "Batch size of each rank in weak scaling.  [default: 128 on a GPU; on a CPU 2 at 224 px, "
        "up to 32 for smaller images]",
        COUNT,
    )
    seconds: float = setting(0.35, "Minimum duration of a repetition.", Bounds(low=0.001))
    cores_per_rank: int | None = setting(
        None,
        "CPU cores that each rank runs on.  [default: 1; on a GPU an equal share of the cores next "
        "to it]",
        COUNT,
    )
    nnodes: int = setting(
        1,
        "Number of machines, as torchrun's --nnodes. Start the same command on each of them.",
        COUNT,
    )
    rdzv_endpoint: str | None = setting(
        None,
        "HOST:PORT on one of the machines, as torchrun's --rdzv-endpoint.",
        metavar="HOST:PORT",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nnodes > 1:
            _ = self.rendezvous
        if self.ranks and self.ranks[-1] % self.nnodes:
            raise MisuseError(
                f"--ranks {self.ranks[-1]} can't be divided by --nnodes {self.nnodes}: the largest "
                f"world size needs all machines."
            )

    @property
    def rendezvous(self) -> tuple[str, int]:
        """Host and port where the machines meet."""
        host, _, port = (self.rdzv_endpoint or "").rpartition(":")
        if not host or not port.isdecimal():
            raise MisuseError(
                "--nnodes needs --rdzv-endpoint HOST:PORT: the address of one of the machines and "
                "a free port there."
            )
        return host, int(port)


@dataclass(frozen=True, kw_only=True)
class ScalingBenchmark(LadderConfig):
    mode: tuple[str, ...] = setting(
        (),
        "weak: constant batch size of each rank; strong: constant global batch size. Can be given "
        "twice.  [default: both; strong for whole trainings]",
        type=(click.Choice(MODES),),
    )
    to_end: bool = setting(
        False, "Train to the end at each world size instead, and compare time and accuracy."
    )
