"""bench-frameworks: training steps of PyTorch compared with those of Keras, on the same shards."""

import json
import math
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.config import FROM_ENVIRONMENT, Measuring
from benchmarks.measuring.table import figure_columns, report
from benchmarks.measuring.virtualenvs import KERAS_FOLDER, Virtualenv, prepare_keras
from benchmarks.measuring.worker_process import (
    WorkerFailedError,
    WorkerProcess,
    exit_on_sigterm,
    start_worker,
)
from pipeline.child_process import module_command, module_variables
from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from pipeline.explicit_options import given_options
from pipeline.options import Bounds, Command, options, pick_fields, setting
from pipeline.settings_file import profile_file
from trainer.config import MachineConfig, Settings
from trainer.first_checks import open_shards
from trainer.recipe_config import RecipeConfig

# The learning rate stays in its warm-up.
_EPOCHS = 1e6


@dataclass(frozen=True)
class Framework:
    """`backend` is Keras's, None for the trainer."""

    name: str
    backend: str | None = None
    feed: str = "shardline"


FRAMEWORKS = {
    "pytorch": Framework("PyTorch"),
    "keras": Framework("Keras on TensorFlow", "tensorflow"),
    "keras-tf.data": Framework("Keras on TensorFlow, tf.data", "tensorflow", "tf.data"),
    "keras-torch": Framework("Keras on torch", "torch"),
}
COLUMNS = {
    "images_per_cpu_second": ("images/CPU s", 1, ",.1f"),
    "data_share": ("waiting for data", 1, ".1%"),
    "first_loss": ("first loss", 1, ".4f"),
}


@dataclass(frozen=True, kw_only=True)
class FrameworksBenchmark(Measuring):
    frameworks: tuple[str, ...] = setting(
        (),
        "Framework to measure; can be given several times.  [default: all]",
        type=(click.Choice([*FRAMEWORKS]),),
    )
    seconds: float = setting(3.0, "Minimum duration of a repetition.", Bounds(low=0.01))
    environment: str = setting(
        str(KERAS_FOLDER), "Virtualenv of TensorFlow and Keras, created if it is missing."
    )


@dataclass(kw_only=True)
class Candidate:
    """A framework and its laps; `failure` is the reason if it can't be measured."""

    framework: Framework
    failure: str = ""
    laps: list[dict[str, float]] = field(default_factory=list)

    def measure(self, worker: WorkerProcess, seconds: float) -> float:
        """images/s of a lap; nan after a failure, which does not stop the other candidates."""
        if self.failure:
            return math.nan
        try:
            self.laps.append(worker.request({"seconds": seconds}))
        except WorkerFailedError as error:
            self.failure = str(error)
            return math.nan
        return self.laps[-1]["images"] / self.laps[-1]["seconds"]

    def figures(self) -> dict[str, float]:
        """Medians over the laps."""
        laps, median = self.laps, statistics.median
        return {
            "images_per_cpu_second": median(lap["images"] / lap["cpu_seconds"] for lap in laps),
            "data_share": median(lap["data_seconds"] / lap["seconds"] for lap in laps),
            "first_loss": laps[0]["first_loss"],
        }


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@profile_file
@options(FrameworksBenchmark, RecipeConfig, MachineConfig, PipelineConfig)
@click.pass_context
def main(context: click.Context, /, **values: Any) -> None:
    """Compare training steps of PyTorch with those of Keras, of the same network on the same
    batches, on the CPU."""
    benchmark = pick_fields(FrameworksBenchmark, values)
    given = given_options(context, values)
    settings = Settings.from_options(**{**given, "epochs": _EPOCHS, "device": "cpu"})
    if not settings.machine.synthetic:
        open_shards(settings.pipeline)
    settings = _resolved(settings)
    names = [name for name in FRAMEWORKS if name in (benchmark.frameworks or FRAMEWORKS)]
    frameworks = [FRAMEWORKS[name] for name in names]
    virtualenv = None
    if any(framework.backend for framework in frameworks):
        virtualenv = prepare_keras(Path(benchmark.environment))
    compare_frameworks(frameworks, benchmark, settings, virtualenv)


def _resolved(settings: Settings) -> Settings:
    """With the batch size for the shards."""
    # torch takes seconds to import: --help doesn't wait for it.
    from trainer.data import open_data
    from trainer.resolve import resolve

    return resolve(settings, open_data(settings.pipeline, synthetic=settings.machine.synthetic))


def compare_frameworks(
    frameworks: Sequence[Framework],
    benchmark: FrameworksBenchmark,
    settings: Settings,
    virtualenv: Virtualenv | None,
) -> None:
    """Measure and report. Raises ``DataError`` if all of them fail."""
    candidates = [Candidate(framework=framework) for framework in frameworks]
    with exit_on_sigterm(), ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        laps = {}
        for candidate in candidates:
            if candidate.framework.backend and virtualenv:
                candidate.failure = "; ".join(virtualenv.missing.values())
            command, variables = _command(candidate.framework, settings, virtualenv, scratch)
            worker = stack.enter_context(start_worker(command, variables))
            laps[candidate.framework.name] = partial(candidate.measure, worker, benchmark.seconds)
        rows = alternate(laps, runs=benchmark.runs, warmup=benchmark.warmup)
    absent = {c.framework.name: c.failure for c in candidates if c.failure}
    failures = [f"{name}: {reason}" for name, reason in absent.items()]
    if len(absent) == len(candidates):
        raise DataError("; ".join(failures))
    for candidate in candidates:
        del candidate.laps[: benchmark.warmup]
    figures = {c.framework.name: c.figures() for c in candidates if not c.failure}
    measured, recipe = [row for row in rows if row.name not in absent], settings.recipe
    report(
        f"{recipe.model}, batch {recipe.global_batch_size}, {settings.machine.precision}, cpu",
        "images/s",
        measured,
        kind="bench-frameworks",
        facts={
            "figures": figures,
            "absent": absent,
            "settings": asdict(benchmark) | settings.to_dict(),
            "keras": dict(virtualenv.versions) if virtualenv else {},
        },
        columns=figure_columns(figures, COLUMNS),
        notes=failures,
        finding=find_ratios(measured),
        output=benchmark.output,
    )


def find_ratios(rows: Sequence[Measurement]) -> str | None:
    """The ratio of each to the first, of runs of the same round; None for a single row."""
    ratios = [(row.name, ratio(row, rows[0])) for row in rows[1:]]
    parts = [
        f"{name} {times.median:.2f} ({times.interval.low:.2f} to {times.interval.high:.2f})"
        for name, times in ratios
    ]
    return f"Times the rate of {rows[0].name}: {', '.join(parts)}." if parts else None


def _command(
    framework: Framework, settings: Settings, virtualenv: Virtualenv | None, scratch: Path
) -> tuple[list[str], dict[str, str]]:
    """Command and environment of the worker: Keras runs in its virtualenv, the trainer in ours."""
    out = str(scratch / f"{framework.backend}-{framework.feed}")
    job = {
        "backend": framework.backend,
        "feed": framework.feed,
        "settings": {**settings.to_dict(), "out": out},
    }
    arguments = ("benchmarks.frameworks.worker", json.dumps(job))
    if framework.backend is None or virtualenv is None:
        return module_command(*arguments), module_variables(TMPDIR=str(scratch))
    return virtualenv.command(*arguments), virtualenv.variables(scratch)


if __name__ == "__main__":
    main()
