"""Is it torchvision? Pixels of the validation transform and windows of the random crop, ours beside
torchvision's on the same images.

Claim: the mean absolute difference of Resize(256), CenterCrop(224) is at most one level of 255, and
random crops can't be told apart from RandomResizedCrop's.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.config import FROM_ENVIRONMENT
from pipeline.config import PipelineConfig
from pipeline.options import Command, options, pick_fields, setting

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ParityBenchmark:
    split: str = setting("train", "Split that the images are taken from.")
    images: int = setting(500, "Images whose pixels are compared.")
    crops: int = setting(20_000, "Random crops of each image size.")
    output: str | None = setting(None, "File for the result, as one line of JSON.")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Of the pixels of two transforms, in levels of 255; `beyond` is the share of pixels that
    differ by more than one."""

    name: str
    mean: float
    largest: int
    beyond: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of two samples by Kolmogorov and Smirnov: the largest distance of their distributions, and
    the probability of one as large between samples of one distribution."""

    name: str
    distance: float
    probability: float


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@options(ParityBenchmark, PipelineConfig)
def main(**values: Any) -> None:
    """Compare pixels and crops with torchvision's."""
    benchmark, config = pick_fields(ParityBenchmark, values), pick_fields(PipelineConfig, values)
    differences = compare_pixels(config, benchmark.split, benchmark.images)
    agreements = [
        agreement
        for height, width in ((375, 500), (500, 333), (40, 400))
        for agreement in compare_crops(config, height, width, benchmark.crops)
    ]
    _print(benchmark, differences, agreements)


def compare_pixels(config: PipelineConfig, split: str, images: int) -> list[Difference]:
    """The validation transform of the first `images` of a split by all that claim to do it."""
    pairs = (
        ("DALI, torchvision on tensors", "dali", "tensors"),
        ("DALI, torchvision on PIL images", "dali", "pil"),
        ("pipeline.inference, DALI", "inference", "dali"),
        ("pipeline.inference, torchvision on tensors", "inference", "tensors"),
        ("torchvision on tensors, on PIL images", "tensors", "pil"),
    )
    found: dict[str, list[Floats]] = {name: [] for name, _, _ in pairs}
    for views in islice(validation_views(config, split), images):
        for name, first, second in pairs:
            levels = np.abs(views[first].astype(np.int16) - views[second])
            found[name].append(np.array([levels.mean(), levels.max(), (levels > 1).mean()]))
    return [
        Difference(
            name=name,
            mean=float(np.mean([row[0] for row in rows])),
            largest=int(max(row[1] for row in rows)),
            beyond=float(np.mean([row[2] for row in rows])),
        )
        for name, rows in found.items()
    ]


def validation_views(config: PipelineConfig, split: str) -> Iterator[dict[str, NDArray[np.uint8]]]:
    """Each image of a split as each transform gives it: uint8 (3, H, W) by the transform's name."""
    import cv2
    import torch
    from PIL import Image
    from torchvision.transforms import v2

    from pipeline.build import val_loader
    from pipeline.config import resolve_sizes
    from pipeline.inference import inference_transform
    from pipeline.storage.dataset import Dataset
    from pipeline.storage.reader import ShardReader
    from pipeline.watchdog import StallWatchdog

    dataset = Dataset(config.shards)
    index, sizes = dataset.split(split), resolve_sizes(config, dataset.manifest)
    theirs = v2.Compose(
        [v2.Resize(sizes.resize_px, antialias=True), v2.CenterCrop(sizes.image_size_px)]
    )
    ours = inference_transform(dataset.manifest, config)
    loader = val_loader(dataset, config, batch_size=50, device=torch.device("cpu"), split=split)
    watch = StallWatchdog(config.stall_timeout, rank=0)
    with loader, closing(ShardReader(index, verify=True, watchdog=watch)) as reader:
        for batch in loader:
            encoded, _ = reader.read(batch.samples)
            for image, data in zip(batch.images, encoded, strict=True):
                bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
                assert bgr is not None  # DALI has decoded it already
                decoded = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
                tensor = torch.from_numpy(decoded).permute(2, 0, 1)
                yield {
                    "dali": image.numpy(),
                    "inference": ours.pixels(tensor).numpy(),
                    "tensors": theirs(tensor).numpy(),
                    "pil": np.asarray(theirs(Image.fromarray(decoded))).transpose(2, 0, 1),
                }


def compare_crops(
    config: PipelineConfig, height: int, width: int, count: int
) -> Iterator[Agreement]:
    """Area, ratio and place of `count` random windows of images of one size."""
    import torch
    from scipy.stats import ks_2samp
    from torchvision.transforms import v2

    from pipeline.plan.augment import train_parameters

    torch.manual_seed(0)
    reference = v2.RandomResizedCrop(224, scale=config.crop_area, ratio=config.crop_ratio)
    image = torch.zeros(1, height, width)
    rows = (reference.make_params([image]) for _ in range(count))
    theirs = np.array([[row[name] for name in ("top", "left", "height", "width")] for row in rows])
    drawn = train_parameters(
        config,
        visits=np.zeros(count, np.int64),
        samples=np.arange(count),
        heights=np.full(count, height),
        widths=np.full(count, width),
        image_size_px=224,
    )
    ours = np.concatenate([drawn.start, drawn.shape], axis=1)
    for name, first, second in zip(
        ("area", "ratio", "y", "x"), _measures(ours), _measures(theirs), strict=True
    ):
        result = ks_2samp(first, second)
        yield Agreement(
            name=f"{name}, {width} x {height} px",
            distance=float(result.statistic),
            probability=float(result.pvalue),
        )


def _measures(windows: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Area, ratio, y and x of windows (top, left, height, width)."""
    top, left, height, width = windows.T
    return height * width, width / height, top, left


def _print(
    benchmark: ParityBenchmark, differences: list[Difference], agreements: list[Agreement]
) -> None:
    """Two tables and one JSON line."""
    from rich.console import Console
    from rich.table import Table

    from benchmarks.measuring.provenance import environment
    from benchmarks.measuring.result_file import publish

    pixels = Table("pixels", "mean", "largest", "beyond 1", title="Validation, levels of 255")
    for row in differences:
        pixels.add_row(row.name, f"{row.mean:.3f}", str(row.largest), f"{row.beyond:.4%}")
    crops = Table("crops", "distance", "probability", title="Ours and RandomResizedCrop")
    for each in agreements:
        crops.add_row(each.name, f"{each.distance:.4f}", f"{each.probability:.3f}")
    console = Console(width=120)
    console.print(pixels, crops)
    record = {
        "kind": "benchmarks.parity",
        "benchmark": "parity",
        **asdict(benchmark),
        "pixels": [asdict(row) for row in differences],
        "windows": [asdict(each) for each in agreements],
        "environment": environment(),
    }
    publish(record, benchmark.output)


if __name__ == "__main__":
    main()
