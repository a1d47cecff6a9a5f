"""Options of ``tools/shard``."""

from dataclasses import dataclass
from typing import Any, Literal

import click

from pipeline.errors import MisuseError
from pipeline.options import COUNT, FRACTION, POSITIVE, Bounds, Options, setting
from pipeline.storage.manifest import TARGET_COMPONENTS
from tools.images.encoding import Encoding
from tools.images.pixel_range import given_range

# Options that change where the shards go or how fast they are made, but not their bytes.
_RUN_OPTIONS = (
    *("src", "out", "like", "workers", "worker_timeout", "engine", "max_rejected"),
    *("dry_run", "explain", "trust_size", "append", "changed", "new_classes"),
)


@dataclass(frozen=True, kw_only=True)
class ShardConfig(Options):
    """Options of ``tools/shard``; raises ``MisuseError`` for invalid values."""

    src: str = setting(
        None, "The download: a folder, a zip, or an fsspec URL (s3://...).", required=True
    )
    out: str = setting(None, "Folder or fsspec URL to write the shards to.", required=True)
    append: bool = setting(
        False,
        "Add the sources of --src that the finished shards in --out lack, in new shards behind "
        "those that stand.",
    )
    changed: Literal["refuse", "store-again", "skip"] = setting(
        "refuse",
        "With --append, for sources whose content or label has changed since they were stored: "
        "stop, store them again beside the earlier samples, or leave them out.",
    )
    new_classes: Literal["refuse", "add"] = setting(
        "refuse", "With --append, for classes that the shards lack: stop, or add them last."
    )
    dry_run: bool = setting(False, "Print the plan and a few samples; write nothing.")
    explain: bool = setting(
        False, "Print what speaks for each way to read the labels, and what each column looks like."
    )
    labels: tuple[str, ...] = setting(
        (),
        "Table with the labels, or folder that contains the class folders; relative to --src. "
        "Repeat it for the tables of several splits: train=a.csv, test=b.csv.",
        metavar="[SPLIT=]PATH",
        section="Labels and images",
    )
    images: str | None = setting(
        None, "Use only the images in this folder, relative to --src.", metavar="DIR"
    )
    image_column: str | None = setting(
        None, "Column with the name of the image file: a column name, or a number from 1."
    )
    label_column: tuple[str, ...] = setting(
        (),
        "Column with the label: a column name, or a number from 1. Repeat it for one-hot columns "
        "or for several regression targets.",
    )
    header: bool | None = setting(None, "Whether the CSV has a header row.  [default: detected]")
    path_template: str | None = setting(
        None,
        'Path of the image, made from columns, as in "{classname}/{img}.jpg". "{id[0]}" is the '
        'first character, "{id[:3]}" the first three, "{number:05d}" a number with five digits.',
        metavar="TEMPLATE",
    )
    label_pattern: str | None = setting(
        None,
        r"Regular expression whose group is the label in an image's path: '(\w+)\.\d+\.jpg'.",
        metavar="REGEX",
    )
    label_separator: str | None = setting(
        None,
        "Separator of multiple labels in a cell; classification uses the first.",
        metavar="TEXT",
    )
    uncertain: Literal["0", "1"] | None = setting(
        None, "Meaning of -1 in columns of 1, 0 and -1: whether the image has the label."
    )
    blank: Literal["0", "1"] | None = setting(
        None, "Meaning of an empty cell in columns of 1 and 0: whether the image has the label."
    )
    class_names: str | None = setting(
        None,
        "File under --src with the class names in order: a CSV of label and name, a JSON, or lines "
        "like those of LOC_synset_mapping.txt; FILE:ID_COLUMN,NAME_COLUMN for other tables.",
        metavar="PATH",
    )
    task: str = setting(
        "auto", "Task of the labels.", type=click.Choice(["auto", *TARGET_COMPONENTS])
    )
    mask_column: str | None = setting(None, "Column with the mask's file name.", section="Masks")
    masks: str | None = setting(
        None, "Name of the folders with the masks, if images have masks in several.", metavar="DIR"
    )
    mask_template: str | None = setting(
        None,
        'Path of the mask, made from the image\'s path, as in "{folder}/{stem}_mask.png"; the '
        "fields are {folder}, {stem}, {name} and {suffix}.",
        metavar="TEMPLATE",
    )
    mask_colors: str | None = setting(
        None,
        "CSV with the columns name, r, g, b: the color of each class in the masks.  [default: "
        "the table of name,r,g,b in the download, else two classes by --mask-threshold]",
        metavar="PATH",
        aliases={"--mask-colours": None},
    )
    mask_threshold: int = setting(
        128,
        "Gray level from which a mask pixel is foreground.",
        Bounds(low=0, high=255),
        not_with="--mask-colors",
    )
    pixel_layout: Literal["interleaved", "planar"] = setting(
        "interleaved",
        "Order of the values in a row of an RGB pixel CSV: interleaved is RGBRGB..., planar is "
        "all R, all G, all B.",
        section="Tables of pixels",
    )
    pixel_order: Literal["row", "column"] = setting(
        "row",
        "Order of the pixels in a row of a pixel CSV: row by row, or column by column, as EMNIST "
        "has them.",
    )
    pixel_size: tuple[int, int] | None = setting(
        None, "Height and width of the images in a pixel CSV.  [default: square]", COUNT
    )
    pixel_range: tuple[float, float] | None = setting(
        None,
        "Values of black and of white in arrays, pixel CSVs and images of 16 bits.  "
        "[default: measured]",
        metavar="LOW HIGH",
    )
    split_column: str | None = setting(
        None,
        "Column with the split of each image.  [default: the column whose cells are all train, "
        "val, test ...]",
        section="Splits",
    )
    group_column: str | None = setting(
        None,
        "Column with the group of each image (patient, subject, lesion); a random split does not "
        "divide a group.",
    )
    group_pattern: str | None = setting(
        None,
        r"Regular expression whose group is the group of an image in its path, for frames of a "
        r"video: '([^/]+)_\d+\.png'.",
        metavar="REGEX",
    )
    duplicates: Literal["one-split", "keep", "drop", "ignore"] = setting(
        "one-split",
        "one-split: equal images are not divided between train and a val that is drawn. drop: one "
        "of several equal images is stored. keep: all are stored, and listed in duplicates.csv. "
        "ignore: equal images are not looked for.",
    )
    near_duplicates: bool = setting(
        False, "List pairs of images that look nearly the same in duplicates.csv; decodes each."
    )
    val: float | None = setting(
        None,
        "Fraction of the training images for validation, 0 for none. They are drawn from train and "
        "val of the download together, not from test.  [default: the download's val, else 0.1]",
        FRACTION,
        metavar="FRACTION",
    )
    test: Literal["keep", "as-val"] = setting(
        "keep",
        "keep: a test split stays test. as-val: a labeled test split replaces a missing val, and "
        "test images without labels are then left out.",
    )
    unlabeled: Literal["keep", "drop"] = setting(
        "keep",
        "keep: test images without labels are stored without a target. drop: they are left out.",
    )
    submission: str | None = setting(
        None,
        "Table that shows the form of a submission. Its rows and their order are stored with the "
        "test images.  [default: the table with submission in its name]",
        metavar="PATH",
    )
    like: str | None = setting(
        None,
        "Store all images of --src, without labels, in split test, with the image options, classes "
        "and normalization of these shards, for predictions.",
        metavar="SHARDS",
    )
    seed: int = setting(
        0, "Seed of the shuffle and of the validation split.", Bounds(low=0, high=2**63 - 1)
    )
    encode: Literal["auto", "keep", "jpeg", "png"] = setting(
        "auto",
        "auto: keep JPEGs, convert PNG photographs to JPEG, store small images as PNG. keep: "
        "convert only what DALI can't read or what exceeds a limit. jpeg, png: convert all images.",
        section="Stored images",
    )
    quality: int = setting(
        92,
        "JPEG quality, 1 to 100, of images that are not stored unchanged.",
        Bounds(low=1, high=100),
        only_with="--encode auto|keep|jpeg",
    )
    longest_side: int | None = setting(
        None, "Shrink images until the longest side has at most this size.", COUNT, metavar="PX"
    )
    shortest_side: int | None = setting(
        None, "Shrink images until the shortest side has at most this size.", COUNT, metavar="PX"
    )
    alpha: Literal["white", "black", "drop"] = setting(
        "white", "Background for transparent pixels, or drop the alpha channel."
    )
    max_pixels: float = setting(100.0, "Reject images above this size, in megapixels.", POSITIVE)
    max_bytes: float = setting(256.0, "Reject files larger than this, in MiB.", POSITIVE)
    verify: Literal["decode", "header"] = setting(
        "decode",
        "Check of images that are stored unchanged: decode each one, or read only its header.",
        only_with="--encode auto|keep|png",
    )
    zip_encoding: str | None = setting(
        None,
        "Encoding of names in zips that are not UTF-8, such as gb18030, cp932 or cp1251.  "
        "[default: the one in which the tables have the names]",
        metavar="NAME",
    )
    follow_links: bool = setting(False, "Follow links that point out of --src.")
    trust_size: bool = setting(
        False,
        "Take a file of the download for unchanged if its size is, whatever the time of its last "
        "change; without it a resumed run compares the contents of touched files.",
    )
    workers: int | None = setting(
        None,
        "Number of encoding processes.  [default: one per core, at most one for each half GiB of "
        "free memory]",
        COUNT,
        section="Work",
    )
    worker_timeout: float = setting(
        600.0,
        "Seconds after which an encoding process that was stopped (SIGSTOP) is replaced.",
        POSITIVE,
        metavar="SECONDS",
    )
    engine: Literal["local", "ray"] = setting(
        "local", "Run the encoding in processes of this machine, or as tasks of a Ray cluster."
    )
    shard_size: float = setting(256.0, "Approximate shard size, in MiB.", POSITIVE, metavar="MIB")
    max_rejected: float = setting(
        0.01,
        "Stop when more than this fraction of the sources is rejected.",
        FRACTION,
        metavar="FRACTION",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("src", "out"):
            if not getattr(self, name):
                raise MisuseError(f"--{name} is empty: pass a folder or a URL.")
        if self.pixel_range is not None and self.pixel_range[0] >= self.pixel_range[1]:
            low, high = self.pixel_range
            raise MisuseError(f"--pixel-range {low:g} {high:g}: the first must be the smaller one.")
        if self.val == 1:
            raise MisuseError("--val 1 leaves no image to train on: pass a fraction below 1.")
        if self.append and self.like is not None:
            raise MisuseError("--append and --like exclude each other: remove one.")
        if not self.append and (self.changed, self.new_classes) != ("refuse", "refuse"):
            raise MisuseError("--changed and --new-classes say what --append does: add --append.")
        if self.near_duplicates and self.duplicates == "ignore":
            raise MisuseError(
                "--near-duplicates lists equal images, too, and --duplicates ignore looks for "
                "none: pass --duplicates keep."
            )
        if self.zip_encoding is not None:
            try:
                "a".encode(self.zip_encoding)
            except LookupError as error:
                raise MisuseError(
                    f"--zip-encoding {self.zip_encoding}: Python has no such encoding. Pass one "
                    f"such as gb18030, cp932, cp949, big5, cp1251, cp1252 or cp437."
                ) from error

    @property
    def encoding(self) -> Encoding:
        """How images are stored."""
        return Encoding(
            mode=self.encode,
            quality=self.quality,
            longest_side=self.longest_side,
            shortest_side=self.shortest_side,
            alpha=self.alpha,
            max_pixels=int(self.max_pixels * 1e6),
            max_bytes=int(self.max_bytes * 2**20),
            verify=self.verify,
            pixel_range=None if self.pixel_range is None else given_range(*self.pixel_range),
        )

    @property
    def shaping(self) -> dict[str, Any]:
        """The options that change the bytes of the shards, as dataset.json records them."""
        return {name: value for name, value in vars(self).items() if name not in _RUN_OPTIONS}
