"""Compare the validation transform and the random crops with torchvision's, on the same images.

Claims: on a CPU no pixel of Resize(256), CenterCrop(224) on tensors differs by more than one level
of 255; random crops have the distribution of RandomResizedCrop's.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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

IMAGE_SIZES = ((375, 500), (500, 333), (40, 400))
# Name of a comparison -> the transforms that it compares, names of ``validation_views``.
PAIRS = {
    "loader, torchvision on tensors": ("loader", "tensors"),
    "loader, torchvision on PIL images": ("loader", "pil"),
    "pipeline.inference, loader": ("inference", "loader"),
    "pipeline.inference, torchvision on tensors": ("inference", "tensors"),
    "torchvision on tensors, on PIL images": ("tensors", "pil"),
}
Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ParityBenchmark:
    split: str = setting("train", "Split of the images.")
    images: int = setting(500, "Number of images whose pixels are compared.")
    crops: int = setting(20_000, "Number of random crops of each image size.")
    output: str | None = setting(None, "File for the result, as one line of JSON.")


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@options(ParityBenchmark, PipelineConfig)
def main(**values: Any) -> None:
    """Compare pixels and crops with torchvision's."""
    benchmark, config = pick_fields(ParityBenchmark, values), pick_fields(PipelineConfig, values)
    pixels = compare_pixels(config, benchmark.split, benchmark.images)
    crops = [
        record
        for height, width in IMAGE_SIZES
        for record in compare_crops(config, height, width, benchmark.crops)
    ]
    _report(benchmark, pixels, crops)


def compare_pixels(config: PipelineConfig, split: str, images: int) -> list[Record]:
    """Differences of the transforms in PAIRS on the first `images` of a split, in levels of 255:
    the mean, the largest, and the share of pixels that differ by more than one level ("beyond")."""
    figures: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for views in islice(validation_views(config, split), images):
        for name, (first, second) in PAIRS.items():
            levels = np.abs(views[first].astype(np.int16) - views[second])
            figures[name].append((levels.mean(), levels.max(), (levels > 1).mean()))
    records = []
    for name, rows in figures.items():
        means, largest, beyond = np.array(rows).T
        record = {"mean": float(means.mean()), "largest": int(largest.max())}
        records.append({"name": name, **record, "beyond": float(beyond.mean())})
    return records


def validation_views(config: PipelineConfig, split: str) -> Iterator[dict[str, NDArray[np.uint8]]]:
    """Each image of a split after each transform: name -> uint8 (3, H, W)."""
    import cv2
    import torch
    from PIL import Image
    from torchvision.transforms import v2

    from pipeline.build import val_loader
    from pipeline.inference import inference_transform
    from pipeline.sizes import resolve_sizes
    from pipeline.storage.dataset import Dataset
    from pipeline.storage.reader import ShardReader
    from pipeline.watchdog import StallWatchdog

    dataset = Dataset(config.shards)
    index, sizes = dataset.split(split), resolve_sizes(config, dataset.manifest)
    interpolation = v2.InterpolationMode(config.resolved_interpolation)
    theirs = v2.Compose(
        [v2.Resize(sizes.resize_px, interpolation), v2.CenterCrop(sizes.image_size_px)]
    )
    ours = inference_transform(dataset.manifest, config)
    loader = val_loader(dataset, config, batch_size=50, device=torch.device("cpu"), split=split)
    watch = StallWatchdog(config.stall_timeout, rank=0)
    with loader, closing(ShardReader(index, verify=True, watchdog=watch)) as reader:
        for batch in loader:
            encoded, _ = reader.read(batch.samples)
            for image, data in zip(batch.images, encoded, strict=True):
                bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
                assert bgr is not None  # DALI decoded it
                decoded = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
                tensor = torch.from_numpy(decoded).permute(2, 0, 1)
                yield {
                    "loader": image.numpy(),
                    "inference": ours.pixels(tensor).numpy(),
                    "tensors": theirs(tensor).numpy(),
                    "pil": np.asarray(theirs(Image.fromarray(decoded))).transpose(2, 0, 1),
                }


def compare_crops(config: PipelineConfig, height: int, width: int, count: int) -> Iterator[Record]:
    """Area, ratio and position of `count` random crops of images of one size, compared with
    torchvision's by the Kolmogorov-Smirnov test: the largest distance of the two distributions, and
    the probability of a distance as large if they are the same."""
    import torch
    from scipy.stats import ks_2samp
    from torchvision.transforms import v2

    from pipeline.plan.augment import train_parameters

    torch.manual_seed(0)
    reference = v2.RandomResizedCrop(224, scale=config.crop_area, ratio=config.crop_ratio)
    image = torch.zeros(1, height, width)
    rows = (reference.make_params([image]) for _ in range(count))
    theirs = np.array([[row[name] for name in ("top", "left", "height", "width")] for row in rows])
    parameters = train_parameters(
        config,
        visits=np.zeros(count, np.int64),
        samples=np.arange(count),
        heights=np.full(count, height),
        widths=np.full(count, width),
        image_size_px=224,
    )
    ours = _measures(np.concatenate([parameters.start, parameters.shape], axis=1))
    for name, values in _measures(theirs).items():
        result = ks_2samp(ours[name], values)
        figures = {"distance": float(result.statistic), "probability": float(result.pvalue)}
        yield {"name": f"{name}, {width} x {height} px", **figures}


def _measures(crops: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Area, ratio, y and x of crops (top, left, height, width)."""
    top, left, height, width = crops.T
    return {"area": height * width, "ratio": width / height, "y": top, "x": left}


def _report(benchmark: ParityBenchmark, pixels: list[Record], crops: list[Record]) -> None:
    """Print two tables and one line of JSON."""
    from benchmarks.measuring.provenance import environment
    from benchmarks.measuring.result_file import publish

    formats = {"mean": ".3f", "beyond": ".4%", "distance": ".4f", "probability": ".3f"}
    print_records("Validation, levels of 255", pixels, formats)
    print_records("Random crops, compared with RandomResizedCrop's", crops, formats)
    record = {
        "kind": "benchmarks.parity",
        "benchmark": "parity",
        **asdict(benchmark),
        "pixels": pixels,
        "windows": crops,
        "environment": environment(),
    }
    publish(record, benchmark.output)


def print_records(title: str, records: Sequence[Record], formats: Mapping[str, str]) -> None:
    """Print a row for each of `records`, whose entries have `formats`."""
    from pipeline.table import Table, print_table

    rows = [
        [format(value, formats.get(key, "")) for key, value in record.items()] for record in records
    ]
    print_table(Table(title=title, headers=[*records[0]], rows=rows))


if __name__ == "__main__":
    main()
