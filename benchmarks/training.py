"""Throughput of the trainer compared with a bare loop and its loader, or the cost of checkpoints:
``python -m benchmarks.training``."""

import contextlib
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import click

from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.config import FROM_ENVIRONMENT, Measuring
from benchmarks.measuring.laps import measure_lap
from benchmarks.measuring.table import report
from pipeline.options import COUNT, Command, options, pick_fields, setting
from trainer.config import Settings

BARE, SYNTHETIC, LOADER, REAL = "bare loop", "trainer, synthetic", "loader alone", "trainer, shards"
PLAIN, SAVING = "never saves", "saves"
# Targets: ratio to the bare loop; ratio to the slower of loader and synthetic; share of the steps'
# time.
SYNTHETIC_TARGET, REAL_TARGET, SAVING_TARGET = 0.98, 0.97, 0.01
MINUTE_SECONDS = 60
# Records of metrics.jsonl in a run; the steps before the first are warm-up.
RECORDS = 4


@dataclass(frozen=True, kw_only=True)
class TrainingBenchmark(Measuring):
    shards: str = setting("shards", "Directory of shards, or an fsspec URL.")
    model: str = setting("resnet50", "Model: a torchvision classifier.")
    image_size: int = setting(224, "Side of the images in px.", COUNT)
    batch_size: int = setting(8, "Batch size.", COUNT)
    steps: int = setting(2, "Steps between the 4 records of metrics.jsonl of a run.", COUNT)
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "Device, as the trainer's.")
    saving: bool = setting(
        False, "Measure the share of a checkpoint in the steps' time instead, without shards."
    )


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@options(TrainingBenchmark)
def main(**values: Any) -> None:
    """Measure the trainer's throughput on one rank, from metrics.jsonl."""
    benchmark = pick_fields(TrainingBenchmark, values)
    synthetic = partial(training_rate, benchmark, synthetic=True)
    if benchmark.saving:
        title = f"checkpoints: {benchmark.model}, every {benchmark.steps} steps"
        candidates = {PLAIN: synthetic, SAVING: partial(synthetic, saves=True)}
    else:
        title = f"training: {benchmark.model} at {benchmark.image_size} px, batch "
        title += str(benchmark.batch_size)
        candidates = {
            BARE: partial(_bare_rate, benchmark),
            SYNTHETIC: synthetic,
            LOADER: partial(loader_rate, benchmark),
            REAL: partial(training_rate, benchmark),
        }
    rows = alternate(candidates, runs=benchmark.runs, warmup=benchmark.warmup)
    facts, finding = (_saving if benchmark.saving else _ratios)(benchmark, rows)
    report(
        title,
        "images/s",
        rows,
        kind="benchmarks.training",
        facts={"settings": asdict(benchmark), **facts},
        finding=finding,
        output=benchmark.output,
    )


def _ratios(_: TrainingBenchmark, rows: Sequence[Measurement]) -> tuple[dict[str, Any], str]:
    """Facts and finding: the ratios that have targets."""
    bare, synthetic, loader, real = rows
    slower = min((synthetic, loader), key=lambda row: row.median)
    ratios = ratio(synthetic, bare), ratio(real, slower)
    targets = zip(ratios, (SYNTHETIC_TARGET, REAL_TARGET), strict=True)
    parts = [f"{row.name} {row.median:.3f} ({_span(row)}; target {x})" for row, x in targets]
    finding = f"Ratios of runs of the same round: {'; '.join(parts)}."
    return {"ratios": {row.name: row.values for row in ratios}}, finding


def _saving(
    benchmark: TrainingBenchmark, rows: Sequence[Measurement]
) -> tuple[dict[str, Any], str]:
    """Facts and finding: the time of a checkpoint."""
    checkpoint = saving_seconds(*rows, images=benchmark.steps * benchmark.batch_size)
    finding = (
        f"A checkpoint takes {checkpoint.median:.3f} s ({_span(checkpoint)}) of the steps' time: "
        f"{checkpoint.median / MINUTE_SECONDS:.2%} at one a minute (target {SAVING_TARGET:.0%})."
    )
    return {"checkpoint_seconds": checkpoint.values}, finding


def _span(row: Measurement) -> str:
    return f"{row.interval.low:.3f} to {row.interval.high:.3f}"


def saving_seconds(plain: Measurement, saving: Measurement, *, images: int) -> Measurement:
    """The time that a checkpoint every `images` adds, round by round, from images/s."""
    pairs = zip(plain.values, saving.values, strict=True)
    return Measurement(
        name="checkpoint", values=tuple(images / slow - images / fast for fast, slow in pairs)
    )


def training_rate(
    benchmark: TrainingBenchmark, *, synthetic: bool = False, saves: bool = False
) -> float:
    """images/s of a run, with everything between the steps; `saves`: with a checkpoint after each
    record of metrics.jsonl."""
    from trainer.data import open_data
    from trainer.run.metrics_reader import read_records
    from trainer.train import run

    samples = open_data(_settings(benchmark).pipeline, synthetic=synthetic).samples
    record_epochs = benchmark.steps * benchmark.batch_size / samples
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
        settings = _settings(
            benchmark,
            synthetic=synthetic,
            epochs=RECORDS * record_epochs,
            # Slightly less: rounding must not move a checkpoint to the next step.
            checkpoint_every=record_epochs * (1 - 1e-9) if saves else 0.0,
            out=out,
        )
        run(settings)
        return rate(read_records(Path(out)))


def rate(records: Sequence[Mapping[str, Any]]) -> float:
    """images/s from the first to the last record of kind "train"."""
    first, *later = (record for record in records if record["kind"] == "train")
    seconds = later[-1]["elapsed_seconds"] - first["elapsed_seconds"]
    return float(sum(record["images"] for record in later) / seconds)


def loader_rate(benchmark: TrainingBenchmark) -> float:
    """images/s of the trainer's batches without training, after as many warm-up steps as a run
    has."""
    from trainer.data import open_data, train_batches
    from trainer.distributed.process_group import open_world

    pipeline = _settings(benchmark).pipeline
    with open_world(benchmark.device) as world:
        batches = train_batches(
            open_data(pipeline, synthetic=False),
            pipeline,
            world,
            global_batch_size=benchmark.batch_size,
            position=0,
            end_position=None,
        )
        with batches:
            images = (len(batch.samples) for batch in batches)
            for _ in range(RECORDS * benchmark.steps):
                next(images)
            return measure_lap(images, 1.0, lambda: None).images_per_second


def _bare_rate(benchmark: TrainingBenchmark) -> float:
    """images/s of a bare loop as long as a run of the trainer, with a new model as well: for tens
    of steps the allocator takes pages from the system, 4 to 14 % of a step of resnet50 on two
    cores."""
    from benchmarks.compute.config import CHANNELS_LAST
    from benchmarks.compute.steps import Steps, bare_steps, prepare_model
    from trainer.distributed.process_group import open_world

    with open_world(benchmark.device) as world:
        model = prepare_model(
            benchmark.model,
            mode=CHANNELS_LAST,
            image_size_px=benchmark.image_size,
            precision="auto",
            world=world,
        )
    warmup, rest = (
        bare_steps(Steps(model=model, batch_size=benchmark.batch_size, seconds=1, steps=steps))
        for steps in (benchmark.steps, (RECORDS - 1) * benchmark.steps)
    )
    warmup()
    return rest()


def _settings(benchmark: TrainingBenchmark, **values: Any) -> Settings:
    quiet = {"val_every": 0.0, "checkpoint_minutes": 0.0, "checkpoint_every": 0.0}
    return Settings.from_options(
        shards=benchmark.shards,
        model=benchmark.model,
        image_size=benchmark.image_size,
        global_batch_size=benchmark.batch_size,
        log_every=benchmark.steps,
        device=benchmark.device,
        **quiet | values,
    )


if __name__ == "__main__":
    main()
