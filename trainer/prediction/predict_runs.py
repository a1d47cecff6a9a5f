"""Predict the samples of a split with trained runs, and write the predictions."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from pipeline.build import val_loader
from pipeline.console import open_console, print_json
from pipeline.errors import DataError
from pipeline.loader import Loader
from trainer.distributed.collectives import World
from trainer.distributed.process_group import open_world
from trainer.model.precision import dtype_name, set_float32
from trainer.out_of_memory import is_out_of_memory
from trainer.prediction.config import PredictConfig
from trainer.prediction.image_files import stored_images
from trainer.prediction.job import Job, prepare
from trainer.prediction.mask_files import predict_and_write_masks
from trainer.prediction.masks import PixelModel
from trainer.prediction.outputs import predict_outputs
from trainer.prediction.writing import write_predictions
from trainer.rank_progress import images_progress
from trainer.tasks.segmentation import Segmentation
from trainer.trained_run import TrainedRun

# The ranks meet only at the end, and before it while rank 0 stores images: a day.
TIMEOUT_SECONDS = 24 * 3600.0

# Models, and the autocast type of each.
Models = Sequence[tuple[nn.Module, torch.dtype | None]]


def predict_runs(config: PredictConfig) -> None:
    """Predict and write; rank 0 prints the result. Raises ``DataError`` and ``MisuseError``."""
    console = open_console(soft_wrap=True)
    with (
        open_world(config.device, timeout_seconds=TIMEOUT_SECONDS) as world,
        stored_images(config, world, console.print) as shards,
    ):
        with world.fail_together():
            job = prepare(config, shards)
            models = [run.load_for_inference(path, world.device) for run, path in job.runs]
        if world.rank == 0:
            console.print("\n".join(job.describe()))
        began = time.perf_counter()
        passes = 1 if isinstance(job.task, Segmentation) else len(job.runs)
        images = passes * len(job.index)
        with (
            images_progress(console, "predicting", images, world) as advance,
            enough_memory(config.batch_size),
        ):
            predict = _predict_masks if isinstance(job.task, Segmentation) else _predict_values
            predict(job, models, world, advance)
        if world.rank == 0:
            rate = len(job.index) / (time.perf_counter() - began)
            console.print(f"Wrote {job.out}: {len(job.index):,} samples, {rate:,.1f} images/s.")
            print_json(_record(job, models, rate))


def _predict_values(job: Job, models: Models, world: World, advance: Callable[[int], None]) -> None:
    outputs = []
    for (run, _), (model, dtype) in zip(job.runs, models, strict=True):
        set_float32(run.precision)
        with _loader(job, run, world, tiles=False) as batches:
            values = predict_outputs(
                batches,
                model,
                world,
                batch_size=job.batch_size,
                dtype=dtype,
                flips=job.config.tta == "flip",
                advance=advance,
            )
        outputs += [] if values is None else [values]
    if world.rank == 0:
        write_predictions(job, outputs)


def _predict_masks(job: Job, models: Models, world: World, advance: Callable[[int], None]) -> None:
    flips = job.config.tta == "flip"
    with ExitStack() as stack:
        loaders = [stack.enter_context(_loader(job, run, world, tiles=True)) for run, _ in job.runs]
        pixel_models = [
            PixelModel(model=model, precision=run.precision, dtype=dtype, flips=flips)
            for (run, _), (model, dtype) in zip(job.runs, models, strict=True)
        ]
        predict_and_write_masks(job, loaders, pixel_models, world, advance)


def _loader(job: Job, run: TrainedRun, world: World, *, tiles: bool) -> Loader:
    return val_loader(
        job.dataset,
        job.pipeline(run, world),
        batch_size=job.batch_size,
        rank=world.rank,
        world_size=world.world_size,
        device=world.device,
        split=job.config.split,
        whole_batches=not tiles,
        tiles=tiles,
    )


@contextmanager
def enough_memory(batch_size: int) -> Iterator[None]:
    """Raise ``DataError`` with what to do if there is not enough memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise DataError(
            f"There is not enough memory for --batch-size {batch_size}: lower it."
        ) from error


def _record(job: Job, models: Models, rate: float) -> dict[str, object]:
    return {
        "runs": [str(run.directory) for run, _ in job.runs],
        "checkpoints": [str(path) for _, path in job.runs],
        "shards": job.place,
        "split": job.config.split,
        "samples": len(job.index),
        "format": job.format,
        "out": str(job.out),
        "images_per_second": rate,
        "dtype": ", ".join(dict.fromkeys(dtype_name(dtype) for _, dtype in models)),
    }
