"""The loader's pixels on an idle device and beside a training, as the GPU's operations see them.

A batch that is read before it is written, or written again while it is read, gives other pixels
than on an idle device. Sums over the pixels are therefore enqueued as soon as a batch arrives, and
again behind its training step.
"""

from collections.abc import Generator, Iterable
from contextlib import closing
from functools import partial
from itertools import islice

import torch

from benchmarks.compute.config import CHANNELS_LAST
from benchmarks.compute.steps import CLASSES, PreparedModel, prepare_model
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.laps import measure_lap, synchronize
from benchmarks.measuring.table import report
from benchmarks.on_gpu.config import GpuRun
from benchmarks.on_gpu.pictures import shards_folder
from pipeline import Batch, Dataset, PipelineConfig, train_loader
from pipeline.errors import DataError
from trainer.distributed.process_group import open_world
from trainer.loop import train_steps

HW_DECODER_LOADS = (0.0, 1.0)


def check_determinism(config: GpuRun, output: str) -> None:
    """Compare and report. Raises ``DataError`` if pixels differ."""
    rows, different = [], {}
    with open_world(config.device) as world:
        model = prepare_model(
            config.amounts.model,
            mode=CHANNELS_LAST,
            image_size_px=config.amounts.image_size_px,
            precision=config.amounts.precision,
            world=world,
        )
        for load in HW_DECODER_LOADS if config.device == "cuda" else HW_DECODER_LOADS[:1]:
            idle, idle_rate = idle_sums(config, load)
            busy, busy_rate = busy_sums(config, load, model)
            rows.append(Measurement(name=f"load {load:g}, idle", values=(idle_rate,)))
            rows.append(Measurement(name=f"load {load:g}, training", values=(busy_rate,)))
            different[f"{load:g}"] = count_differences(idle, busy)
    count = config.amounts.hashed_batches
    parts = (
        f"{number} of {count} at --hw-decoder-load {load}" for load, number in different.items()
    )
    finding = f"Batches whose pixels differ beside a training: {', '.join(parts)}."
    report(
        f"Pixels of {count} batches of {config.amounts.batch_size}, {config.device}",
        "images/s",
        rows,
        kind="benchmarks.on_gpu determinism",
        facts={"different_batches": different},
        finding=finding,
        output=output,
    )
    if any(different.values()):
        raise DataError(finding)


def idle_sums(config: GpuRun, load: float) -> tuple[list[int], float]:
    """The sum of each batch's pixels, with nothing else to do for the device; images/s."""
    sums: list[torch.Tensor] = []
    with closing(batches(config, load)) as loaded:

        def sizes() -> Generator[int]:
            for batch in loaded:
                sums.append(pixel_sum(batch.images))
                synchronize(batch.images.device)
                yield len(batch.samples)

        rate = rate_of(sizes(), config)
    return [int(each) for each in sums], rate


def busy_sums(
    config: GpuRun, load: float, model: PreparedModel
) -> tuple[list[tuple[int, int]], float]:
    """The sums of each batch before and behind its training step; images/s."""
    before: list[torch.Tensor] = []
    behind: list[torch.Tensor] = []

    def summed(loaded: Iterable[Batch]) -> Generator[Batch]:
        for batch in loaded:
            before.append(pixel_sum(batch.images))
            # The shards have a label for each image.
            yield Batch(batch.images, batch.targets % CLASSES, batch.samples)
            behind.append(pixel_sum(batch.images))

    with closing(batches(config, load)) as loaded:
        records = train_steps(
            summed(loaded),
            model.update,
            schedule=lambda position: model.learning_rate,
            global_batch_size=config.amounts.batch_size,
        )
        rate = rate_of((record.images for record in records), config)
    return [(int(a), int(b)) for a, b in zip(before, behind, strict=True)], rate


def rate_of(sizes: Iterable[int], config: GpuRun) -> float:
    """images/s over all of the batches, with the start of the loader."""
    total = (sum(sizes) for _ in range(1))
    return measure_lap(
        total, 1e-9, partial(synchronize, torch.device(config.device))
    ).images_per_second


def batches(config: GpuRun, load: float) -> Generator[Batch]:
    """The same batches in each call."""
    amounts = config.amounts
    settings = PipelineConfig(
        image_size=amounts.image_size_px, hw_decoder_load=load, color_jitter=0.3
    )
    loader = train_loader(
        Dataset(str(shards_folder(config, "jpeg") / "shards")),
        settings,
        global_batch_size=amounts.batch_size,
        device=torch.device(config.device),
    )
    with loader:
        yield from islice(loader, amounts.hashed_batches)


def pixel_sum(images: torch.Tensor) -> torch.Tensor:
    """A sum that depends on each pixel and its place: an int64 scalar on the device. Integers
    overflow alike in any order of the additions."""
    pixels = images.permute(0, 2, 3, 1).reshape(-1).to(torch.int64)
    places = torch.arange(1, len(pixels) + 1, device=pixels.device)
    return (pixels * (places * 2654435761 % 1000003)).sum()


def count_differences(idle: list[int], busy: list[tuple[int, int]]) -> int:
    pairs = zip(idle, busy, strict=True)
    return sum((first, first) != sums for first, sums in pairs)
