"""What a user can say about the pipeline, and what follows from the data where nothing is said."""

import math
from dataclasses import dataclass

import click

from pipeline.errors import MisuseError
from pipeline.machine import available_cores
from pipeline.options import Options, flag_of, setting
from pipeline.progressive_resize import ImageSize, StartEnd, check_progressive, progressive_size
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class PipelineConfig(Options):
    shards: str = setting(
        "shards",
        "Directory that tools/shard wrote, or its URL (s3://bucket/shards).",
        section="Shards",
    )
    cache_dir: str | None = setting(
        None, "Folder for shards fetched from a URL.  [default: ~/.cache, or as XDG says]"
    )
    cache_size: float | None = setting(
        None, "GiB that fetched shards may take.  [default: half of the disk's free space]", above=0
    )
    seed: int = setting(
        0, "Seed of order and augmentation.", section="Order", low=0, high=2**63 - 1
    )
    shuffle: str = setting(
        "global",
        "Each epoch's order: all samples, those of a window of shards, or as they lie.",
        type=click.Choice(["global", "window", "off"]),
    )
    shuffle_window: int = setting(8, "Shards in a window of --shuffle window.", low=1)
    sample_weights: str = setting(
        "none",
        "inverse-frequency: drawn with replacement, every class as often as the others.",
        type=click.Choice(["none", "inverse-frequency"]),
    )
    repeats: int = setting(1, "How often a sample comes in a row, each time augmented anew.", low=1)
    image_size: int | None = setting(
        None,
        "Side of the training image in px.  [default: 224, less where the images are small]",
        section="Images",
        low=1,
    )
    val_resize: int | None = setting(
        None,
        "Shorter side in px before the central crop of validation.  "
        "[default: image size / 0.875, or the image size where images are small]",
        low=1,
    )
    crop_area: tuple[float, float] = setting(
        (0.08, 1.0),
        "Range of the random crop's share of the image.",
        section="Augmentation",
        above=0,
        high=1,
    )
    crop_ratio: tuple[float, float] = setting(
        (0.75, 4 / 3), "Range of the random crop's width / height.", above=0
    )
    flip_probability: float = setting(0.5, "Probability of a flip left to right.", low=0, high=1)
    color_jitter: float = setting(
        0.0, "Brightness, contrast and saturation are multiplied by up to 1 +- this.", low=0, high=1
    )
    hue_jitter: float = setting(
        0.0, "Hue is turned by up to +- this many degrees.", low=0, high=180
    )
    auto_augment: str = setting(
        "none",
        "trivial: one operation of TrivialAugment's an image, of any strength; rand: RandAugment.",
        type=click.Choice(["none", "trivial", "rand"]),
    )
    rand_augment_operations: int = setting(2, "Operations an image gets from RandAugment.", low=1)
    rand_augment_magnitude: int = setting(9, "Their strength, from 0 to 30.", low=0, high=30)
    erase_probability: float = setting(
        0.0, "Probability that a random part of the image becomes the mean color.", low=0, high=1
    )
    erase_area: tuple[float, float] = setting(
        (0.02, 0.33), "Range of the erased part's share of the image.", above=0, high=1
    )
    erase_ratio: tuple[float, float] = setting(
        (0.3, 3.3), "Range of the erased part's height / width.", above=0
    )
    mixup_alpha: float = setting(
        0.0, "Pairs of images are mixed, in shares from Beta(this, this); 0: not.", low=0, high=1
    )
    cutmix_alpha: float = setting(
        0.0,
        "Pairs swap a window, its share from Beta(this, this); 0: not. With MixUp: half each.",
        low=0,
        high=1,
    )
    progressive_resize: tuple[int, int] | None = setting(
        None,
        "Training begins at images of START px and comes to END in steps of 32; validation keeps "
        "--image-size.",
        type=StartEnd(),
    )
    progressive_epochs: int = setting(10, "Epochs until --progressive-resize comes to END.", low=1)
    threads: int | None = setting(
        None,
        "Threads of DALI per rank.  [default: cores / ranks on this machine]",
        section="Loading",
        low=1,
    )
    prefetch: int = setting(2, "Batches that DALI keeps ready.", low=1)
    read_ahead: int = setting(4, "Batches whose bytes are read before DALI asks for them.", low=1)
    verify: str = setting(
        "crc",
        "crc: check each sample's crc32 as it is read.",
        type=click.Choice(["crc", "none"]),
    )
    cache: str = setting(
        "none",
        "Keep decoded images in memory, each rank its own: in the host's, the GPU's, or in the "
        "host's if they take less than a quarter of what is free. Where they don't fit, nothing is "
        "kept.",
        type=click.Choice(["none", "host", "device", "auto"]),
    )
    stall_timeout: float = setting(
        300.0, "Stop with an error if a batch is missed for so many seconds; 0: never.", low=0
    )
    max_bad: float = setting(
        0.01,
        "Stop when more than this fraction of a split's samples is damaged; others take the "
        "places of those.",
        low=0,
        high=1,
    )
    hw_decoder_load: float = setting(
        0.65, "Share of JPEGs for the GPU's hardware decoder.", low=0, high=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("crop_area", "crop_ratio", "erase_area", "erase_ratio"):
            smallest, largest = getattr(self, name)
            if smallest > largest:
                raise MisuseError(
                    f"{flag_of(name)} must be two numbers in ascending order, not {smallest} "
                    f"{largest}."
                )
        if self.image_size and self.val_resize and self.val_resize < self.image_size:
            raise MisuseError(
                f"--val-resize {self.val_resize} is smaller than --image-size {self.image_size}."
            )
        if self.repeats > 1 and (self.mixup_alpha or self.cutmix_alpha):
            raise MisuseError(
                f"--repeats {self.repeats} lets copies of one image follow each other, and "
                f"--mixup-alpha and --cutmix-alpha mix neighbors: take one of them."
            )
        if self.progressive_resize:
            check_progressive(*self.progressive_resize)

    @property
    def operations(self) -> int:
        """How many operations of ``--auto-augment`` each image gets."""
        counts = {"none": 0, "trivial": 1, "rand": self.rand_augment_operations}
        return counts[self.auto_augment]

    @property
    def resolved_threads(self) -> int:
        return self.threads or available_cores()


def open_dataset(config: PipelineConfig) -> Dataset:
    """The shards that `config` names."""
    return Dataset(config.shards, cache_dir=config.cache_dir, cache_size=config.cache_size)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sides in pixels: of the image the model gets, and of the shorter side that validation
    resizes to before it crops."""

    image_size_px: int
    resize_px: int


def resolve_sizes(config: PipelineConfig, manifest: Manifest) -> Sizes:
    """224 and its 256 (the sizes ResNet's results are stated at) where the images are that large;
    else the median shorter side, rounded up to the 32 px that ResNet's strides divide, uncropped.
    """
    shorter = min(manifest.heights[1], manifest.widths[1])
    image_size = config.image_size or min(224, 32 * math.ceil(shorter / 32))
    spare = round(image_size / 0.875)
    resize = config.val_resize or (spare if shorter >= spare else image_size)
    return Sizes(image_size_px=image_size, resize_px=max(resize, image_size))


def image_size(config: PipelineConfig, manifest: Manifest, *, epoch_positions: int) -> ImageSize:
    """The side of training's images in px at each position, as `config` says."""
    if config.progressive_resize is None:
        constant = resolve_sizes(config, manifest).image_size_px
        return lambda position: constant
    start_px, end_px = config.progressive_resize
    return progressive_size(
        start_px, end_px, epochs=config.progressive_epochs, epoch_positions=epoch_positions
    )
