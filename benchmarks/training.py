"""The whole trainer beside a bare loop, on real images, and while it saves: ``python -m
benchmarks.training``."""

import contextlib
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.config import FROM_ENVIRONMENT, Measuring
from benchmarks.measuring.table import report
from pipeline.options import COUNT, options, pick_fields, setting

if TYPE_CHECKING:
    from trainer.config import Settings

BARE, SYNTHETIC, LOADER, REAL = "bare loop", "trainer, synthetic", "loader alone", "trainer, shards"
PLAIN, SAVING = "never saves", "saves"
# Bars: of the bare loop; of the slower of loader and synthetic; of the steps' time.
SYNTHETIC_BAR, REAL_BAR, SAVING_BAR = 0.98, 0.97, 0.01
MINUTE_SECONDS = 60
# Of metrics.jsonl in a run; what comes before the first is warm-up.
LINES = 4


@dataclass(frozen=True, kw_only=True)
class TrainingBenchmark(Measuring):
    shards: str = setting("shards", "Directory of shards, an fsspec URL too.")
    model: str = setting("resnet50", "Any torchvision classifier, by its name there.")
    image_size: int = setting(224, "Side of the images in px.", COUNT)
    batch_size: int = setting(8, "Images of a step.", COUNT)
    steps: int = setting(
        2, "Steps between two lines of metrics.jsonl, of which a run has 4.", COUNT
    )
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "As the trainer's.")
    saving: bool = setting(
        False, "Measure what a checkpoint takes of the steps' time instead; needs no shards."
    )


@click.command(context_settings=FROM_ENVIRONMENT)
@options(TrainingBenchmark)
def main(**values: Any) -> None:
    """Measure the whole trainer on one rank, by what it writes into metrics.jsonl."""
    benchmark = pick_fields(TrainingBenchmark, values)
    (_measure_saving if benchmark.saving else _measure)(benchmark)


def _measure(benchmark: TrainingBenchmark) -> None:
    rows = alternate(
        {
            BARE: lambda: _bare(benchmark),
            SYNTHETIC: lambda: trained(benchmark, synthetic=True),
            LOADER: lambda: loaded(benchmark),
            REAL: lambda: trained(benchmark),
        },
        runs=benchmark.runs,
        warmup=benchmark.warmup,
    )
    bare, synthetic, loader, real = rows
    slower = min((synthetic, loader), key=lambda row: row.median)
    ratios = ratio(synthetic, bare), ratio(real, slower)
    bars = zip(ratios, (SYNTHETIC_BAR, REAL_BAR), strict=True)
    said = [f"{row.name} {row.median:.3f} ({_span(row)}; bar {bar})" for row, bar in bars]
    report(
        f"training: {benchmark.model} at {benchmark.image_size} px, batch {benchmark.batch_size}",
        "images/s",
        rows,
        kind="benchmarks.training",
        facts={"settings": asdict(benchmark), "ratios": {row.name: row.values for row in ratios}},
        finding=f"Round by round: {'; '.join(said)}.",
        output=benchmark.output,
    )


def _measure_saving(benchmark: TrainingBenchmark) -> None:
    rows = alternate(
        {
            PLAIN: lambda: trained(benchmark, synthetic=True),
            SAVING: lambda: trained(benchmark, synthetic=True, saves=True),
        },
        runs=benchmark.runs,
        warmup=benchmark.warmup,
    )
    taken = saving_seconds(*rows, images=benchmark.steps * benchmark.batch_size)
    report(
        f"checkpoints: {benchmark.model}, every {benchmark.steps} steps",
        "images/s",
        rows,
        kind="benchmarks.training",
        facts={"settings": asdict(benchmark), "checkpoint_seconds": taken.values},
        finding=f"A checkpoint takes {taken.median:.3f} s ({_span(taken)}) of the steps' time: "
        f"{taken.median / MINUTE_SECONDS:.2%} at one a minute (bar {SAVING_BAR:.0%}).",
        output=benchmark.output,
    )


def _span(row: Measurement) -> str:
    return f"{row.interval.low:.3f} to {row.interval.high:.3f}"


def saving_seconds(plain: Measurement, saving: Measurement, *, images: int) -> Measurement:
    """What a checkpoint every `images` adds to their time, round by round, from images/s."""
    pairs = zip(plain.values, saving.values, strict=True)
    return Measurement(
        name="checkpoint", values=tuple(images / slow - images / fast for fast, slow in pairs)
    )


def trained(benchmark: TrainingBenchmark, *, synthetic: bool = False, saves: bool = False) -> float:
    """images/s of a run, with all that happens between steps; with `saves` that is a checkpoint
    after each line of metrics.jsonl."""
    from trainer.data import open_data
    from trainer.run.metrics_reader import read_records
    from trainer.train import run

    pipeline = _settings(benchmark).pipeline
    samples = open_data(pipeline, synthetic=synthetic).samples
    line_epochs = benchmark.steps * benchmark.batch_size / samples
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
        settings = _settings(
            benchmark,
            synthetic=synthetic,
            epochs=LINES * line_epochs,
            # A hair less, so that no rounding puts it one step later.
            checkpoint_every=line_epochs * (1 - 1e-9) if saves else 0.0,
            out=out,
        )
        run(settings)
        return rate(read_records(Path(out)))


def rate(records: Sequence[Mapping[str, Any]]) -> float:
    """images/s from the first line of kind "train" to the last."""
    first, *others = (record for record in records if record["kind"] == "train")
    seconds = others[-1]["elapsed_seconds"] - first["elapsed_seconds"]
    return float(sum(record["images"] for record in others) / seconds)


def loaded(benchmark: TrainingBenchmark) -> float:
    """images/s of the trainer's batches, that nobody trains on, by as many threads; the first are
    warm-up."""
    from benchmarks.measuring.laps import measure_lap
    from trainer.data import open_data, train_batches
    from trainer.distributed.process_group import open_world

    pipeline = _settings(benchmark).pipeline
    steps = LINES * benchmark.steps
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
            for _ in range(steps):
                next(images)
            return measure_lap(images, 1.0, lambda: None).images_per_second


def _bare(benchmark: TrainingBenchmark) -> float:
    """images/s of a bare loop as long as a run of the trainer, its model as new: for tens of steps
    the allocator takes pages from the system, 4 to 14 % of a step of resnet50 on two cores."""
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
    first, rest = (
        bare_steps(Steps(model=model, batch_size=benchmark.batch_size, seconds=1, steps=steps))
        for steps in (benchmark.steps, (LINES - 1) * benchmark.steps)
    )
    first()
    return rest()


def _settings(benchmark: TrainingBenchmark, **values: Any) -> "Settings":
    from trainer.config import Settings

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
