"""Options of bench-loader, and the names of its stages."""

from dataclasses import dataclass

import click

from benchmarks.measuring.config import Measuring
from pipeline.errors import MisuseError
from pipeline.options import setting

SWEEPS = ("threads", "batch", "hw-decoder-load", "cache", "format")


@dataclass(frozen=True, kw_only=True)
class LoaderBenchmark(Measuring):
    sweep: str | None = setting(
        None,
        "Measure the whole loader at several values of one setting instead.",
        type=click.Choice(SWEEPS),
    )
    doctor: bool = setting(False, "Look at shards and machine for what will be slow, and say why.")
    tune: bool = setting(
        False, "Find threads, prefetch and read-ahead for this machine, and write a profile."
    )
    profile_out: str = setting(
        "profile.json", "File that --tune writes, for --profile-file of later runs."
    )
    batch_size: int = setting(64, "Images in a batch.", low=1)
    seconds: float = setting(0.5, "Length of a run.", low=0.01)
    split: str = setting("train", "Split to read.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.sweep is not None) + self.doctor + self.tune > 1:
            raise MisuseError("--sweep, --doctor and --tune are done one at a time.")


READ, DECODE, AUGMENT, HAND_OVER, FULL = STAGES = (
    *("read bytes", "+ decode", "+ augment", "+ hand-over"),
    "full",
)
# Those that are measured from cold files, too.
COLD = {name: f"{name}, cold files" for name in (READ, FULL)}
