"""What ``tools/shard`` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pipeline.config import available_cores
from pipeline.errors import MisuseError
from pipeline.options import setting

# What decides where the result goes or how fast it comes, never its bytes.
SHAPELESS = ("src", "out", "workers", "max_rejected")


@dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """Options of ``tools/shard``; raises ``MisuseError`` for values that make no sense."""

    src: Path = setting(  # noqa: RUF009 (it returns a field)
        None, "Folder of the unpacked download.", required=True, metavar="DIR"
    )
    out: Path = setting(  # noqa: RUF009 (it returns a field)
        None, "Folder to write the shards to.", required=True, metavar="DIR"
    )
    labels: str | None = setting(
        None,
        "Where the labels are, relative to --src: a CSV, or the folder above the class folders.",
        metavar="PATH",
    )
    images: str | None = setting(None, "Folder under --src that holds the images.", metavar="DIR")
    image_column: str | None = setting(
        None, "Column that names the image file: its name, or its number counting from 1."
    )
    label_column: str | None = setting(
        None, "Column that holds the label: its name, or its number counting from 1."
    )
    header: bool | None = setting(None, "Whether the CSV has a header.  [default: found out]")
    pixel_layout: str = setting(
        "interleaved",
        "Order of RGB values in a row of a pixel CSV: RGBRGB... or all R, all G, all B.",
        type=click.Choice(["interleaved", "planar"]),
    )
    pixel_size: tuple[int, int] | None = setting(
        None, "Height and width of the images of a pixel CSV.  [default: square]"
    )
    val: float | None = setting(
        None,
        "Fraction of the images for validation, 0 for none; given, it replaces the download's "
        "own division.  [default: the download's own, else 0.1]",
        metavar="FRACTION",
    )
    seed: int = setting(0, "Seed of the shuffle and of the validation split.")
    encode: str = setting(
        "auto",
        "auto: JPEG stays, PNG photographs become JPEG, small images PNG. keep: as they are. "
        "jpeg, png: all become that.",
        type=click.Choice(["auto", "keep", "jpeg", "png"]),
    )
    quality: int = setting(92, "JPEG quality, 1 to 100.")
    longest_side: int | None = setting(
        None, "Shrink until the longest side has at most so many pixels.", metavar="PX"
    )
    shortest_side: int | None = setting(
        None, "Shrink until the shortest side has at most so many pixels.", metavar="PX"
    )
    workers: int | None = setting(None, "Processes that encode.  [default: every core]")
    shard_size: float = setting(256.0, "Size of a shard at most, in MiB.", metavar="MIB")
    max_rejected: float = setting(
        0.01, "Stop when more than this fraction of the sources is unusable.", metavar="FRACTION"
    )

    def __post_init__(self) -> None:
        for name in ("val", "max_rejected"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                _refuse(name, value, "a fraction from 0 to 1")
        if self.val == 1:
            _refuse("val", self.val, "less than 1, or nothing is left to train on")
        if self.seed < 0:
            _refuse("seed", self.seed, "0 or more")
        if not 1 <= self.quality <= 100:
            _refuse("quality", self.quality, "from 1 to 100")
        for name in ("longest_side", "shortest_side", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                _refuse(name, value, "at least 1")
        if self.pixel_size is not None and min(self.pixel_size) < 1:
            _refuse("pixel_size", self.pixel_size, "at least 1 by 1")
        if not self.shard_size > 0:
            _refuse("shard_size", self.shard_size, "more than 0 MiB")
        if not self.src.is_dir():
            raise MisuseError(
                f"--src {self.src} is not a folder: give the folder of the unpacked download."
            )

    @property
    def processes(self) -> int:
        return self.workers or available_cores()

    @property
    def shard_bytes(self) -> int:
        return int(self.shard_size * 2**20)

    @property
    def shaping(self) -> dict[str, Any]:
        """The arguments that shape the bytes, as the manifest records them."""
        return {name: value for name, value in vars(self).items() if name not in SHAPELESS}


def _refuse(name: str, value: object, wanted: str) -> None:
    option = "--" + name.replace("_", "-")
    raise MisuseError(f"{option} is {value}, it must be {wanted}.")
