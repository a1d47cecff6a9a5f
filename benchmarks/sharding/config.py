"""Options of the sharding benchmark."""

from dataclasses import dataclass

import click

from benchmarks.measuring.config import runs_setting
from benchmarks.measuring.virtualenvs import DEFAULT_FOLDER
from pipeline.options import COUNT, Bounds, Options, setting

FOLDER = click.Path(exists=True, file_okay=False)


@dataclass(frozen=True, kw_only=True)
class ShardingBenchmark(Options):
    src: str = setting(
        "", "Folder of photographs; their labels are made up.", required=True, type=FOLDER
    )
    runs: int = runs_setting(5)
    images: int = setting(24_000, "Number of photographs; those in --src are repeated.", COUNT)
    small_images: int = setting(70_000, "Number of small PNGs, which are repeated.", COUNT)
    small_src: str | None = setting(
        None, "Folder of small PNGs.  [default: scikit-learn's digits]", type=FOLDER
    )
    csv_rows: int = setting(266_000, "Rows of the pixel CSV.", COUNT)
    largest: int = setting(
        1_000_000, "Largest number of samples of the memory parts.", Bounds(low=1000)
    )
    peers: bool = setting(True, "Also measure other writers.")
    environment: str = setting(
        str(DEFAULT_FOLDER), "Folder for the peers' virtualenv, which is created once."
    )
