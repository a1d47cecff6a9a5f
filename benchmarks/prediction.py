"""Speed of trainer.predict compared with its loader and its model alone:
``python -m benchmarks.prediction``."""

import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import click

from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.config import FROM_ENVIRONMENT, Measuring
from benchmarks.measuring.table import report
from benchmarks.measuring.targets import ratio_target
from pipeline.options import COUNT, Command, options, pick_fields, setting

if TYPE_CHECKING:
    import torch

    from pipeline.loader import Loader
    from trainer.distributed.collectives import World
    from trainer.model.build import Classifier

LOADER, MODEL, PREDICTION = "loader alone", "model alone", "prediction"
# Share of the rate that loader and model allow together.
TARGET = 0.95


@dataclass(frozen=True, kw_only=True)
class PredictionBenchmark(Measuring):
    """Options of the command."""

    shards: str = setting("shards", "Directory of shards, or an fsspec URL.")
    split: str = setting("val", "Split to predict.")
    model: str = setting("resnet50", "Model: a torchvision classifier, with random weights.")
    image_size: int | None = setting(
        None, "Side of the images in px.  [default: as the trainer's]", COUNT
    )
    batch_size: int = setting(64, "Batch size.", COUNT)
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "Device, as the trainer's.")


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@options(PredictionBenchmark)
def main(**values: object) -> None:
    """Measure the rate of predictions of a split on one rank. On a CPU loader and model share the
    cores, so the limit is 1 / (1 / loader + 1 / model); on a GPU it is the slower of both."""
    benchmark = pick_fields(PredictionBenchmark, values)
    from trainer.distributed.process_group import open_world

    with open_world(benchmark.device) as world:
        loader, model, dtype = _prepare(benchmark, world)
        with loader:
            candidates = {
                LOADER: partial(_loader_rate, loader),
                MODEL: partial(_model_rate, loader, model, dtype, world),
                PREDICTION: partial(_prediction_rate, benchmark, loader, model, dtype, world),
            }
            rows = alternate(candidates, runs=benchmark.runs, warmup=benchmark.warmup)
        limit = limit_of(*rows[:2], shares_cores=world.device.type == "cpu")
    share = ratio(rows[2], limit)
    report(
        f"prediction: {benchmark.model}, batch {benchmark.batch_size}",
        "images/s",
        [*rows, limit],
        kind="benchmarks.prediction",
        facts={"settings": asdict(benchmark), "share_of_limit": share.values},
        targets=[ratio_target(TARGET, rows[2], limit)],
        finding=(
            f"Predictions run at {share.median:.3f} ({share.interval}) of the rate that loader and "
            f"model allow; the {'loader' if rows[0].median < rows[1].median else 'model'} is "
            f"the slower of both."
        ),
        output=benchmark.output,
    )


def limit_of(loader: Measurement, model: Measurement, *, shares_cores: bool) -> Measurement:
    """The rate that both allow, round by round."""
    pairs = zip(loader.values, model.values, strict=True)
    if shares_cores:
        values = tuple(1 / (1 / first + 1 / second) for first, second in pairs)
    else:
        values = tuple(map(min, pairs))
    return Measurement(name="limit of both", values=values)


def _prepare(
    benchmark: PredictionBenchmark, world: "World"
) -> "tuple[Loader, Classifier, torch.dtype | None]":
    from pipeline.build import val_loader
    from pipeline.config import PipelineConfig, open_dataset
    from pipeline.sizes import resolve_sizes
    from trainer.model.build import build_model
    from trainer.model.precision import autocast_dtype
    from trainer.model.sources.find import find_model
    from trainer.model.sources.source import NetworkSpec

    config = PipelineConfig(
        shards=benchmark.shards, image_size=benchmark.image_size, threads=world.threads
    )
    dataset = open_dataset(config)
    manifest = dataset.manifest
    model = build_model(
        find_model(benchmark.model),
        NetworkSpec(
            classes=len(manifest.classes),
            image_size_px=resolve_sizes(config, manifest).image_size_px,
        ),
        mean=manifest.mean,
        std=manifest.std,
        seed=0,
    )
    model = model.to(world.device).eval()
    loader = val_loader(
        dataset,
        config,
        batch_size=benchmark.batch_size,
        device=world.device,
        split=benchmark.split,
        whole_batches=True,
    )
    return loader, model, autocast_dtype("auto", world.device, model)


def _loader_rate(loader: "Loader") -> float:
    began = time.perf_counter()
    images = sum(len(batch.samples) for batch in loader)
    return images / (time.perf_counter() - began)


def _model_rate(
    loader: "Loader", model: "Classifier", dtype: "torch.dtype | None", world: "World"
) -> float:
    """images/s of as many batches as the split has, all of them the first one."""
    from trainer.prediction.outputs import predict_outputs

    batch = next(iter(loader))
    batches = [batch] * len(loader)
    began = time.perf_counter()
    predict_outputs(
        batches,
        model,
        world,
        batch_size=len(batch.samples),
        dtype=dtype,
        flips=False,
        advance=lambda count: None,
    )
    return len(batches) * len(batch.samples) / (time.perf_counter() - began)


def _prediction_rate(
    benchmark: PredictionBenchmark,
    loader: "Loader",
    model: "Classifier",
    dtype: "torch.dtype | None",
    world: "World",
) -> float:
    from trainer.prediction.outputs import predict_outputs

    began = time.perf_counter()
    outputs = predict_outputs(
        loader,
        model,
        world,
        batch_size=benchmark.batch_size,
        dtype=dtype,
        flips=False,
        advance=lambda count: None,
    )
    assert outputs is not None
    return len(outputs) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
