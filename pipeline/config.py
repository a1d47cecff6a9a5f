"""The pipeline's options."""

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import MisuseError
from pipeline.limits.cores import rank_cores
from pipeline.options import (
    COUNT,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    Bounds,
    Options,
    flag_of,
    setting,
)
from pipeline.plan.folds import parse_fold
from pipeline.plan.part import parse_train_samples
from pipeline.progressive_resize import STEP_PX, parse_start_end
from pipeline.storage.dataset import Dataset
from pipeline.watchdog import STALL_SECONDS

# Image sizes from which on torch resizes on a CPU. Below, its calls take longer than DALI's resize:
# three times as long at 32 px.
TORCH_RESIZES_PX = 96


@dataclass(frozen=True, kw_only=True)
class PipelineConfig(Options):
    """Options of order, images, augmentation and loading; ``--help`` describes each field.

    All fields have defaults and must be passed by name. Sizes are in px, ranges are (low, high),
    probabilities and fractions from 0 to 1. Only `shards`, `cache_dir` and `cache_size` say where
    the data is: ``open_dataset`` reads them, ``Dataset`` takes them as arguments. `threads`,
    `prefetch`, `read_ahead`, `cache`, `gpu_batches` and `stall_timeout` change neither samples nor
    pixels.

    Raises:
        MisuseError: a value is out of its range, or two options exclude each other.

    Example:
        >>> config = PipelineConfig(seed=1, image_size=160, crop_area=(0.25, 1.0), threads=8)
        >>> dataclasses.replace(config, auto_augment="trivial").auto_augment
        'trivial'
    """

    shards: str = setting(
        "shards",
        "Directory that tools/shard wrote, or its URL (s3://bucket/shards).",
        section="Shards",
    )
    cache_dir: str | None = setting(
        None,
        "Folder for shards fetched from a URL.  [default: $XDG_CACHE_HOME/shardline, or "
        "~/.cache/shardline]",
    )
    cache_size: float | None = setting(
        None, "Limit in GiB for fetched shards.  [default: half of the disk's free space]", POSITIVE
    )
    seed: int = setting(
        0,
        "Seed of the shuffle and the augmentation.",
        Bounds(low=0, high=2**63 - 1),
        section="Order",
    )
    shuffle: Literal["global", "window", "off"] = setting(
        "global",
        "Shuffle all samples of each epoch (global), the samples within a window of shards "
        "(window), or none (off).",
        only_with="--sample-weights none",
    )
    shuffle_window: int = setting(
        8, "Shards per window of --shuffle window.", COUNT, only_with="--shuffle window"
    )
    sample_weights: Literal["none", "inverse-frequency"] = setting(
        "none",
        "inverse-frequency: draw samples with replacement, all classes with equal probability.",
    )
    repeats: int = setting(
        1, "Repeated augmentation: consecutive, differently augmented copies of a sample.", COUNT
    )
    fold: str | None = setting(
        None,
        "Cross-validation: divide train and val together into K folds by --seed, hold out fold I "
        "for evaluation and train on the others. Folds have the same share of each class and "
        "divide no group.",
        metavar="I/K",
    )
    train_samples: str | None = setting(
        None,
        "Train on a part of the samples only: a number, or a share such as 10%. Each class has its "
        "share and at least one sample. With the same --seed a smaller part is in a larger one.",
        metavar="N|P%",
    )
    image_size: int | None = setting(
        None,
        "Height and width of the training image in px.  [default: 224, less for small images]",
        COUNT,
        section="Images",
    )
    val_resize: int | None = setting(
        None,
        "Shorter side in px that validation resizes to before the central crop.  "
        "[default: image size / 0.875, or the image size for small images]",
        COUNT,
    )
    interpolation: Literal["auto", "bilinear", "bicubic"] = setting(
        "auto",
        "How training and validation resize images; masks take the nearest pixel. auto: as the "
        "weights of the trainer's --pretrained were trained, else bilinear.",
    )
    crop_area: tuple[float, float] = setting(
        (0.08, 1.0),
        "Range of the random crop's area, as a fraction of the image.",
        Bounds(above=0, high=1),
        section="Augmentation",
    )
    crop_ratio: tuple[float, float] = setting(
        (0.75, 4 / 3), "Range of the random crop's width / height.", POSITIVE
    )
    flip_probability: float = setting(0.5, "Probability of a horizontal flip.", FRACTION)
    color_jitter: float = setting(
        0.0,
        "Multiply brightness, contrast and saturation each by a random factor from 1 - this to "
        "1 + this.",
        FRACTION,
    )
    hue_jitter: float = setting(
        0.0, "Rotate the hue by a random angle of up to this many degrees.", Bounds(low=0, high=180)
    )
    auto_augment: Literal["none", "trivial", "rand"] = setting(
        "none",
        "trivial: TrivialAugment, one operation of random strength per image; rand: RandAugment.",
    )
    rand_augment_operations: int = setting(
        2, "Operations per image of RandAugment.", COUNT, only_with="--auto-augment rand"
    )
    rand_augment_magnitude: int = setting(
        9,
        "Strength of RandAugment's operations, from 0 to 30.",
        Bounds(low=0, high=30),
        only_with="--auto-augment rand",
    )
    erase_probability: float = setting(
        0.0, "Probability of filling a random rectangle with the mean color.", FRACTION
    )
    erase_area: tuple[float, float] = setting(
        (0.02, 0.33),
        "Range of the erased fraction of the image.",
        Bounds(above=0, high=1),
        only_with="--erase-probability",
    )
    erase_ratio: tuple[float, float] = setting(
        (0.3, 3.3),
        "Range of the erased rectangle's height / width.",
        POSITIVE,
        only_with="--erase-probability",
    )
    mixup_alpha: float = setting(
        0.0,
        "MixUp: blend pairs of images with weights drawn from Beta(this, this); 0 disables it.",
        FRACTION,
    )
    cutmix_alpha: float = setting(
        0.0,
        "CutMix: swap a box between pairs of images, its area drawn from Beta(this, this); 0 "
        "disables it. With both, each pair gets MixUp or CutMix with equal probability.",
        FRACTION,
    )
    progressive_resize: tuple[int, int] | None = setting(
        None,
        "Progressive resizing: training image size grows from START to END px in multiples of 32; "
        "validation uses --image-size.",
        type=parse_start_end,
        metavar="START:END",
    )
    progressive_epochs: int = setting(
        10,
        "Epochs until --progressive-resize reaches END.",
        COUNT,
        only_with="--progressive-resize",
    )
    threads: int | None = setting(
        None,
        "DALI's threads per rank.  [default: cores / ranks on this machine]",
        COUNT,
        section="Loading",
    )
    prefetch: int = setting(2, "Batches that DALI decodes ahead.", COUNT)
    read_ahead: int = setting(4, "Batches that are read ahead of decoding.", COUNT)
    verify: Literal["crc", "none"] = setting(
        "crc", "crc: compare each sample's CRC-32 with the index when it is read."
    )
    cache: Literal["none", "host", "device", "auto"] = setting(
        "none",
        "Cache decoded images in memory, separately for each rank: host memory (host), GPU memory "
        "(device), or host memory if they need less than a quarter of what is free (auto). If they "
        "don't fit, none is cached.",
    )
    stall_timeout: float = setting(
        STALL_SECONDS,
        "Seconds to wait for a batch before stopping with an error; 0 disables it. Less than 1 MiB "
        "from a server in this time counts as no progress.",
        NOT_NEGATIVE,
    )
    max_bad: float = setting(
        0.01,
        "Stop when more than this fraction of a split's samples is damaged; until then other "
        "samples replace the damaged ones.",
        FRACTION,
    )
    hw_decoder_load: float = setting(
        0.0,
        "Fraction of JPEGs for the GPU's hardware decoder; the rest is decoded by CUDA. Above 0 it "
        "needs the test in docs/measuring.md.",
        FRACTION,
        only_with="--device auto|cuda",
    )
    gpu_batches: Literal["copies", "views"] = setting(
        "copies",
        "How torch gets the batches on a GPU: copies in its own memory, or views of DALI's memory, "
        "for whose release DALI waits for the whole GPU.",
        only_with="--device auto|cuda",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("crop_area", "crop_ratio", "erase_area", "erase_ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise MisuseError(
                    f"{flag_of(name)} must be two numbers in ascending order, not {low} {high}."
                )
        if self.fold is not None:
            parse_fold(self.fold)
        if self.train_samples is not None:
            parse_train_samples(self.train_samples)
        if self.image_size and self.val_resize and self.val_resize < self.image_size:
            raise MisuseError(
                f"--val-resize {self.val_resize} is smaller than --image-size {self.image_size}: "
                f"raise it, or lower --image-size."
            )
        if self.repeats > 1 and (self.mixup_alpha or self.cutmix_alpha):
            raise MisuseError(
                f"--repeats {self.repeats} makes neighbors of copies of one image, and "
                f"--mixup-alpha and --cutmix-alpha mix neighbors: use one or the other."
            )
        for side_px in self.progressive_resize or ():
            if side_px < STEP_PX or side_px % STEP_PX:
                raise MisuseError(
                    f"--progressive-resize takes positive multiples of {STEP_PX} px, not {side_px}."
                )

    @property
    def resolved_interpolation(self) -> str:
        """ "bilinear" or "bicubic"."""
        return "bilinear" if self.interpolation == "auto" else self.interpolation

    @property
    def operations(self) -> int:
        """Operations per image of ``--auto-augment``."""
        return {"none": 0, "trivial": 1, "rand": self.rand_augment_operations}[self.auto_augment]

    @property
    def resolved_threads(self) -> int:
        """DALI's threads: `threads`, or this rank's share of the cores."""
        return self.threads or rank_cores()


def open_dataset(config: PipelineConfig) -> Dataset:
    """Open `config.shards`."""
    return Dataset(config.shards, cache_dir=config.cache_dir, cache_size=config.cache_size)
