"""bench-frameworks: training steps of PyTorch and of Keras side by side, on the same shards."""

import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.config import FROM_ENVIRONMENT, Measuring
from benchmarks.measuring.provenance import ROOT
from benchmarks.measuring.table import figure_columns, report
from benchmarks.measuring.virtualenvs import KERAS_FOLDER, Virtualenv, prepare_keras
from benchmarks.measuring.worker_process import (
    WorkerFailedError,
    WorkerProcess,
    exit_on_sigterm,
    start_worker,
)
from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from pipeline.options import Bounds, Command, options, pick_fields, setting
from pipeline.profile_file import profile_file
from trainer.config import MachineConfig, RecipeConfig, Settings

# A step's rate is wanted, not an end: the learning rate stays in its warm-up.
_EPOCHS = 1e6


@dataclass(frozen=True, kw_only=True)
class Framework:
    """`backend` is Keras's, None for the trainer as it is."""

    name: str
    backend: str | None = None
    feed: str = "shardline"


FRAMEWORKS = {
    "pytorch": Framework(name="PyTorch"),
    "keras": Framework(name="Keras on TensorFlow", backend="tensorflow"),
    "keras-tf.data": Framework(
        name="Keras on TensorFlow, tf.data", backend="tensorflow", feed="tf.data"
    ),
    "keras-torch": Framework(name="Keras on torch", backend="torch"),
}
_FORMATS = {
    "images_per_cpu_second": ("images/CPU s", 1, ",.1f"),
    "data_share": ("waits for data", 1, ".1%"),
    "first_loss": ("first loss", 1, ".4f"),
}


@dataclass(frozen=True, kw_only=True)
class FrameworksBenchmark(Measuring):
    frameworks: tuple[str, ...] = setting(
        (), "Who is measured.  [default: all]", type=(click.Choice([*FRAMEWORKS]),)
    )
    seconds: float = setting(3.0, "Least length of a run.", Bounds(low=0.01))
    environment: str = setting(str(KERAS_FOLDER), "Where TensorFlow and Keras are installed, once.")

    def __post_init__(self) -> None:
        super().__post_init__()

    @property
    def keys(self) -> list[str]:
        return [key for key in FRAMEWORKS if key in (self.frameworks or FRAMEWORKS)]


@dataclass(kw_only=True)
class Candidate:
    """A framework's process; `failure` says why it could not be measured, the others go on."""

    framework: Framework
    failure: str = ""
    laps: list[dict[str, float]] = field(default_factory=list)

    def lap(self, racer: WorkerProcess, seconds: float) -> float:
        if self.failure:
            return math.nan
        try:
            self.laps.append(racer.request({"seconds": seconds}))
        except WorkerFailedError as error:
            self.failure = str(error)
            return math.nan
        return self.laps[-1]["images"] / self.laps[-1]["seconds"]

    def figures(self) -> dict[str, float]:
        """Medians over the laps."""

        def median(value: Callable[[dict[str, float]], float]) -> float:
            return statistics.median(map(value, self.laps))

        return {
            "images_per_cpu_second": median(lambda lap: lap["images"] / lap["cpu_seconds"]),
            "data_share": median(lambda lap: lap["data_seconds"] / lap["seconds"]),
            "first_loss": self.laps[0]["first_loss"],
        }


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@profile_file
@options(FrameworksBenchmark, RecipeConfig, MachineConfig, PipelineConfig)
def main(**values: Any) -> None:
    """Measure the trainer's steps beside Keras's, of the same network and batches, on the CPU."""
    benchmark = pick_fields(FrameworksBenchmark, values)
    settings = Settings.from_options(**{**values, "epochs": _EPOCHS, "device": "cpu"})
    chosen = {key: FRAMEWORKS[key] for key in benchmark.keys}
    environment = None
    if any(each.backend for each in chosen.values()):
        environment = prepare_keras(Path(benchmark.environment))
    race([*chosen.values()], benchmark, settings, environment)


def race(
    frameworks: Sequence[Framework],
    benchmark: FrameworksBenchmark,
    settings: Settings,
    environment: Virtualenv | None,
) -> None:
    """Measure and report. Raises ``DataError`` if nobody could be measured."""
    contenders = [Candidate(framework=framework) for framework in frameworks]
    for each in contenders:
        if each.framework.backend and environment:
            each.failure = "; ".join(environment.missing.values())
    with exit_on_sigterm(), ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        laps = {}
        for each in contenders:
            command, variables = _command(each.framework, settings, environment, scratch)
            racer = stack.enter_context(start_worker(command, variables))
            laps[each.framework.name] = partial(each.lap, racer, benchmark.seconds)
        rows = alternate(laps, runs=benchmark.runs, warmup=benchmark.warmup)
    absent = {each.framework.name: each.failure for each in contenders if each.failure}
    if len(absent) == len(contenders):
        raise DataError("; ".join(f"{name}: {why}" for name, why in absent.items()))
    for each in contenders:
        del each.laps[: benchmark.warmup]
    figures = {each.framework.name: each.figures() for each in contenders if not each.failure}
    measured = [row for row in rows if row.name not in absent]
    recipe = settings.recipe
    report(
        f"{recipe.model}, batch {recipe.global_batch_size}, {settings.machine.precision}, cpu",
        "images/s",
        measured,
        kind="bench-frameworks",
        facts={
            "figures": figures,
            "absent": absent,
            "settings": asdict(benchmark) | settings.to_dict(),
            "keras": dict(environment.versions) if environment else {},
        },
        columns=figure_columns(figures, _FORMATS),
        notes=[f"{name}: {why}" for name, why in absent.items()],
        finding=finding(measured),
        output=benchmark.output,
    )


def finding(rows: Sequence[Measurement]) -> str | None:
    """Each beside the first, by the ratios of runs that followed each other."""
    if len(rows) < 2:
        return None
    ratios = [ratio(row, rows[0]) for row in rows[1:]]
    beside = ", ".join(
        f"{row.name} {each.median:.2f} ({each.interval.low:.2f} to {each.interval.high:.2f})"
        for row, each in zip(rows[1:], ratios, strict=True)
    )
    return f"Times the rate of {rows[0].name}: {beside}."


def _command(
    framework: Framework, settings: Settings, environment: Virtualenv | None, scratch: Path
) -> tuple[list[str], dict[str, str]]:
    """Keras's in its environment, the trainer's in ours."""
    out = str(scratch / f"{framework.backend}-{framework.feed}")
    stated = {
        "backend": framework.backend,
        "feed": framework.feed,
        "settings": {**settings.to_dict(), "out": out},
    }
    arguments = ("benchmarks.frameworks.worker", json.dumps(stated))
    if framework.backend is None or environment is None:
        variables = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}
        return [sys.executable, "-P", "-m", *arguments], variables
    return environment.command(*arguments), environment.variables(scratch)


if __name__ == "__main__":
    main()
