"""What ``tools/shard`` can be told."""

from dataclasses import dataclass
from typing import Any

import click

from pipeline.errors import MisuseError
from pipeline.machine import available_cores
from pipeline.options import setting
from pipeline.storage.manifest import TARGET_COMPONENTS
from tools.images.encoding import Encoding

# What decides where the result goes or how fast it comes, never its bytes.
SHAPELESS = ("src", "out", "workers", "engine", "max_rejected", "dry_run")


@dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """Options of ``tools/shard``; raises ``MisuseError`` for values that make no sense."""

    src: str = setting(
        None, "The download: a folder, a zip, or an fsspec URL (s3://...).", required=True
    )
    out: str = setting(None, "Folder or fsspec URL to write the shards to.", required=True)
    dry_run: bool = setting(False, "Print the plan and a few resolved rows; write nothing.")
    labels: str | None = setting(
        None,
        "Where the labels are, relative to --src: a CSV, or the folder above the class folders.",
        metavar="PATH",
        section="Labels and images",
    )
    images: str | None = setting(None, "Folder under --src that holds the images.", metavar="DIR")
    image_column: str | None = setting(
        None, "Column that names the image file: its name, or its number counting from 1."
    )
    label_column: tuple[str, ...] = setting(
        (),
        "Column that holds the label: its name, or its number counting from 1. Several: one-hot "
        "columns, or the numbers of a regression.",
    )
    header: bool | None = setting(None, "Whether the CSV has a header.  [default: found out]")
    path_template: str | None = setting(
        None,
        'Image file made of columns, as in "{classname}/{img}.jpg"; "{id[0]}" is a character, '
        '"{id[:3]}" a slice, "{number:05d}" a number of five digits.',
        metavar="TEMPLATE",
    )
    label_pattern: str | None = setting(
        None,
        r"Regular expression whose group in an image's path is its label, as in '(\w+)\.\d+\.jpg'.",
        metavar="REGEX",
    )
    label_separator: str | None = setting(
        None,
        "Parts a cell of several labels; for classification the first of them counts.",
        metavar="TEXT",
    )
    class_names: str | None = setting(
        None,
        "File under --src with the classes in their order: label, then name, in a CSV, a JSON, or "
        "lines like those of LOC_synset_mapping.txt.",
        metavar="PATH",
    )
    task: str = setting(
        "auto", "What is to be learnt.", type=click.Choice(["auto", *TARGET_COMPONENTS])
    )
    mask_column: str | None = setting(None, "Column that names the mask file.", section="Masks")
    mask_template: str | None = setting(
        None,
        'Mask file by the image\'s path, as in "{folder}/{stem}_mask.png"; there are '
        "{folder}, {stem}, {name} and {suffix}.",
        metavar="TEMPLATE",
    )
    mask_colours: str | None = setting(
        None,
        "CSV name,r,g,b of the masks' colours.  [default: class_dict.csv if there is "
        "one, else dark and bright]",
        metavar="PATH",
    )
    mask_threshold: int = setting(128, "From here on a gray mask is bright.")
    pixel_layout: str = setting(
        "interleaved",
        "Order of RGB values in a row of a pixel CSV: RGBRGB... or all R, all G, all B.",
        type=click.Choice(["interleaved", "planar"]),
        section="Tables of pixels",
    )
    pixel_size: tuple[int, int] | None = setting(
        None, "Height and width of the images of a pixel CSV.  [default: square]"
    )
    split_column: str | None = setting(
        None,
        "Column that says the split.  [default: one whose cells all are train, val, test ...]",
        section="Splits",
    )
    group_column: str | None = setting(
        None, "Column of what must not be divided between splits: patient, subject, lesion."
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
        section="Stored images",
    )
    quality: int = setting(92, "JPEG quality, 1 to 100.")
    longest_side: int | None = setting(
        None, "Shrink until the longest side has at most so many pixels.", metavar="PX"
    )
    shortest_side: int | None = setting(
        None, "Shrink until the shortest side has at most so many pixels.", metavar="PX"
    )
    alpha: str = setting(
        "white",
        "What lies behind transparent pixels, or drop the transparency.",
        type=click.Choice(["white", "black", "drop"]),
    )
    max_pixels: float = setting(100.0, "Reject larger images, in millions of pixels.")
    max_bytes: float = setting(256.0, "Reject larger files, in MiB.")
    verify: str = setting(
        "decode",
        "Decode each image that is stored as it is, or trust its header.",
        type=click.Choice(["decode", "header"]),
    )
    follow_links: bool = setting(False, "Follow links that leave --src.")
    workers: int | None = setting(
        None, "Processes that encode.  [default: every core]", section="Work"
    )
    engine: str = setting(
        "local",
        "Processes of this machine, or the tasks of a Ray cluster.",
        type=click.Choice(["local", "ray"]),
    )
    shard_size: float = setting(256.0, "Size of a shard, about, in MiB.", metavar="MIB")
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
        if not 0 <= self.seed < 2**63:
            _refuse("seed", self.seed, "from 0 to 2^63 - 1")
        for name in ("src", "out"):
            if not getattr(self, name):
                _refuse(name, "empty", "a folder or a URL")
        if not 1 <= self.quality <= 100:
            _refuse("quality", self.quality, "from 1 to 100")
        for name in ("longest_side", "shortest_side", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                _refuse(name, value, "at least 1")
        if self.pixel_size is not None and min(self.pixel_size) < 1:
            _refuse("pixel_size", self.pixel_size, "at least 1 by 1")
        for name in ("shard_size", "max_pixels", "max_bytes"):
            if not getattr(self, name) > 0:
                _refuse(name, getattr(self, name), "more than 0")
        if not 0 <= self.mask_threshold <= 255:
            _refuse("mask_threshold", self.mask_threshold, "from 0 to 255")

    @property
    def processes(self) -> int:
        return self.workers or available_cores()

    @property
    def shard_bytes(self) -> int:
        return int(self.shard_size * 2**20)

    @property
    def encoding(self) -> Encoding:
        return Encoding(
            mode=self.encode,
            quality=self.quality,
            longest_side=self.longest_side,
            shortest_side=self.shortest_side,
            alpha=self.alpha,
            max_pixels=int(self.max_pixels * 1e6),
            max_bytes=int(self.max_bytes * 2**20),
            verify=self.verify,
        )

    @property
    def shaping(self) -> dict[str, Any]:
        """The arguments that shape the bytes, as the manifest records them."""
        return {name: value for name, value in vars(self).items() if name not in SHAPELESS}


def _refuse(name: str, value: object, wanted: str) -> None:
    option = "--" + name.replace("_", "-")
    raise MisuseError(f"{option} is {value}, it must be {wanted}.")
