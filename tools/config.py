"""What ``tools/shard`` can be told."""

from dataclasses import dataclass
from typing import Any

import click

from pipeline.errors import MisuseError
from pipeline.machine import available_cores
from pipeline.options import Options, setting
from pipeline.storage.manifest import TARGET_COMPONENTS
from tools.images.encoding import Encoding

# What decides where the result goes or how fast it comes, never its bytes.
SHAPELESS = ("src", "out", "workers", "engine", "max_rejected", "dry_run")


@dataclass(frozen=True, kw_only=True)
class ShardConfig(Options):
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
        "auto", "What is to be learned.", type=click.Choice(["auto", *TARGET_COMPONENTS])
    )
    mask_column: str | None = setting(None, "Column that names the mask file.", section="Masks")
    mask_template: str | None = setting(
        None,
        'Mask file by the image\'s path, as in "{folder}/{stem}_mask.png"; there are '
        "{folder}, {stem}, {name} and {suffix}.",
        metavar="TEMPLATE",
    )
    mask_colors: str | None = setting(
        None,
        "CSV name,r,g,b of the masks' colors.  [default: class_dict.csv if there is "
        "one, else dark and bright]",
        metavar="PATH",
        aliases={"--mask-colours": None},
    )
    mask_threshold: int = setting(128, "From here on a gray mask is bright.", low=0, high=255)
    pixel_layout: str = setting(
        "interleaved",
        "Order of RGB values in a row of a pixel CSV: RGBRGB... or all R, all G, all B.",
        type=click.Choice(["interleaved", "planar"]),
        section="Tables of pixels",
    )
    pixel_size: tuple[int, int] | None = setting(
        None, "Height and width of the images of a pixel CSV.  [default: square]", low=1
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
        low=0,
        high=1,
    )
    seed: int = setting(
        0, "Seed of the shuffle and of the validation split.", low=0, high=2**63 - 1
    )
    encode: str = setting(
        "auto",
        "auto: JPEG stays, PNG photographs become JPEG, small images PNG. keep: as they are. "
        "jpeg, png: all become that.",
        type=click.Choice(["auto", "keep", "jpeg", "png"]),
        section="Stored images",
    )
    quality: int = setting(92, "JPEG quality, 1 to 100.", low=1, high=100)
    longest_side: int | None = setting(
        None, "Shrink until the longest side has at most so many pixels.", metavar="PX", low=1
    )
    shortest_side: int | None = setting(
        None, "Shrink until the shortest side has at most so many pixels.", metavar="PX", low=1
    )
    alpha: str = setting(
        "white",
        "What lies behind transparent pixels, or drop the transparency.",
        type=click.Choice(["white", "black", "drop"]),
    )
    max_pixels: float = setting(100.0, "Reject larger images, in millions of pixels.", above=0)
    max_bytes: float = setting(256.0, "Reject larger files, in MiB.", above=0)
    verify: str = setting(
        "decode",
        "Decode each image that is stored as it is, or trust its header.",
        type=click.Choice(["decode", "header"]),
    )
    follow_links: bool = setting(False, "Follow links that leave --src.")
    workers: int | None = setting(
        None, "Processes that encode.  [default: every core]", section="Work", low=1
    )
    engine: str = setting(
        "local",
        "Processes of this machine, or the tasks of a Ray cluster.",
        type=click.Choice(["local", "ray"]),
    )
    shard_size: float = setting(256.0, "Size of a shard, about, in MiB.", metavar="MIB", above=0)
    max_rejected: float = setting(
        0.01,
        "Stop when more than this fraction of the sources is unusable.",
        metavar="FRACTION",
        low=0,
        high=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("src", "out"):
            if not getattr(self, name):
                raise MisuseError(f"--{name} is empty: give a folder or a URL.")
        if self.val == 1:
            raise MisuseError("--val 1 leaves nothing to train on: give less than 1.")

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
