"""Options of bench-loader, and the names of its stages."""

from dataclasses import dataclass

import click

from benchmarks.measuring.config import Measuring
from pipeline.errors import MisuseError
from pipeline.options import COUNT, Bounds, setting

SWEEPS = ("threads", "batch", "hw-decoder-load", "cache", "format")
BATCH_SIZE = 64
# The stages of the input pipeline in order, as the table explains them: each includes the previous.
EXPLANATIONS = {
    "read bytes": "read the images of each batch and check their crc32, draw the crops",
    "+ decode": "the same, and DALI decodes the crops",
    "+ augment": "the same, and DALI resizes, flips and changes colors",
    "+ hand-over": "the same, and batches become torch tensors",
    "full": "the loader as in training",
}
READ, DECODE, AUGMENT, HAND_OVER, FULL = STAGES = tuple(EXPLANATIONS)
# Those that are also measured from cold files.
COLD = {stage: f"{stage}, cold files" for stage in (READ, FULL)}


@dataclass(frozen=True, kw_only=True)
class LoaderBenchmark(Measuring):
    sweep: str | None = setting(
        None,
        "Measure the full loader at several values of one setting instead.",
        type=click.Choice(SWEEPS),
    )
    doctor: bool = setting(
        False, "Check shards and machine for known causes of slow loading instead."
    )
    tune: bool = setting(
        False,
        "Search threads, prefetch and read-ahead for this machine instead, and write a profile.",
    )
    profile_out: str = setting(
        "profile.json",
        "File for the profile of --tune; later runs load it by --profile-file.",
        only_with="--tune",
    )
    batch_size: int = setting(BATCH_SIZE, "Images in a batch, at most those of the split.", COUNT)
    seconds: float = setting(0.5, "Duration of a repetition.", Bounds(low=0.01))
    max_seconds: float = setting(
        120.0,
        "Longest time to measure: the repetitions that would take longer are left out.",
        Bounds(low=1),
    )
    split: str = setting("train", "Split to read.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.sweep is not None) + self.doctor + self.tune > 1:
            raise MisuseError("Give only one of --sweep, --doctor and --tune.")
