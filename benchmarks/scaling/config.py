"""Options of bench-scaling."""

from dataclasses import dataclass
from typing import Any

import click

from benchmarks.measuring.config import Measuring
from benchmarks.scaling.record import MODES
from pipeline.errors import MisuseError
from pipeline.options import setting


class Ranks(click.ParamType[tuple[int, ...]]):
    """1,2,4 on the command line, (1, 2, 4) in Python: ascending, each once."""

    name = "N,N,..."

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, ...]:
        try:
            ranks = tuple(sorted({int(part) for part in value.split(",")}))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers such as 1,2,4.", parameter, context)
        if ranks[0] < 1:
            self.fail(f"a size must be at least 1, not {ranks[0]}.", parameter, context)
        return ranks


@dataclass(frozen=True, kw_only=True)
class ScalingBenchmark(Measuring):
    ranks: tuple[int, ...] | None = setting(
        None,
        "World sizes.  [default: powers of two up to the machine's GPUs; up to its cores, at most "
        "8, without]",
        type=Ranks(),
    )
    mode: tuple[str, ...] = setting(
        (),
        "weak: the batch of a rank stays the same at each size; strong: the global batch does; may "
        "be given twice.  [default: both; for whole trainings strong]",
        type=(click.Choice(MODES),),
    )
    batch_size: int | None = setting(
        None,
        "Images of a rank's step in weak scaling.  [default: 128 on a GPU; on a CPU 2 at 224 px, "
        "up to 32 where images are smaller]",
        low=1,
    )
    seconds: float = setting(0.35, "Least length of a run.", low=0.001)
    cores_per_rank: int | None = setting(
        None,
        "Cores that a rank is kept to.  [default: 1; its GPU's share of those beside it]",
        low=1,
    )
    nnodes: int = setting(
        1, "Machines, on each of which this command is started, as torchrun's --nnodes.", low=1
    )
    rdzv_endpoint: str | None = setting(
        None, "HOST:PORT where they meet, as torchrun's --rdzv-endpoint.", metavar="HOST:PORT"
    )
    to_end: bool = setting(
        False, "Train to the end at each size instead, and compare time and accuracy."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nnodes > 1:
            _ = self.meeting

    @property
    def meeting(self) -> tuple[str, int]:
        """Host and port where the machines meet."""
        host, _, port = (self.rdzv_endpoint or "").rpartition(":")
        if not host or not port.isdecimal():
            raise MisuseError(
                "--nnodes needs --rdzv-endpoint HOST:PORT, where the machines meet: of one of them."
            )
        return host, int(port)
