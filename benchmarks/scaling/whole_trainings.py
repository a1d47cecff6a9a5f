"""bench-scaling --max-minutes and --to-end: whole trainings, one at each world size."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.result_file import TRAININGS
from benchmarks.measuring.table import report
from benchmarks.measuring.text import figure
from benchmarks.scaling.config import LadderConfig, ScalingBenchmark
from benchmarks.scaling.plan import ScalingPlan, Size, check_model, plan_scaling
from benchmarks.scaling.record import STRONG, size_name
from benchmarks.scaling.torchrun import torchrun
from pipeline.console import print_line
from pipeline.duration_text import clock
from pipeline.errors import MisuseError
from trainer.config import Settings
from trainer.data import TrainingData, open_data
from trainer.resolve import resolve
from trainer.run.metrics_reader import read_records
from trainer.run.run_dir import RUNS
from trainer.tasks.tasks import TASKS


@dataclass(frozen=True, kw_only=True)
class Training:
    """Time and accuracy of a run; `final` and `best` values of the `metric` of its task are None
    without a validation split."""

    mode: str
    world_size: int
    global_batch_size: int
    directory: str
    seconds: float
    epochs: float
    images_per_second: float
    metric: str
    final: float | None
    best: float | None

    @property
    def name(self) -> str:
        return size_name(self.mode, self.world_size)

    def __str__(self) -> str:
        score = "" if self.final is None else f", {self.metric} {self.final:.2%}"
        return f"{self.name}: {self.epochs:.2f} epochs in {clock(self.seconds)}{score}"


def measure_trainings(
    benchmark: ScalingBenchmark, settings: Settings, typed: Mapping[str, Any]
) -> None:
    """Train at each world size and report; `typed` are those of `settings` that are not
    defaults."""
    data = open_data(settings.pipeline, synthetic=False)
    assert data.dataset is not None
    plan = plan_scaling(
        benchmark,
        settings,
        {"global_batch_size": resolve(settings, data).recipe.global_batch_size, **typed},
        image_size_px=data.image_size_px,
        modes=benchmark.mode or (STRONG,),
    )
    check_model(plan.settings, data)
    for ranks in plan.ranks:
        if ranks % benchmark.nnodes:
            raise MisuseError(
                f"--ranks {ranks} can't be divided by --nnodes {benchmark.nnodes}: a training "
                f"needs all machines."
            )
    folder = Path(settings.run.out or RUNS / time.strftime("scaling-%Y%m%d-%H%M%S"))
    metric = TASKS[data.dataset.manifest.task].primary_metric
    trainings = []
    for number, size in enumerate(plan.sizes):
        directory = folder / f"{size.mode}-{size.world_size}"
        train(benchmark, plan, typed, size, directory, number)
        if directory.exists():
            trainings.append(_read(size, directory, metric))
    if not trainings:
        print_line("Finished: the machine of rank 0 has the results.")
        return
    _report(benchmark, plan, data, trainings)


def train(
    config: LadderConfig,
    plan: ScalingPlan,
    typed: Mapping[str, Any],
    size: Size,
    directory: Path,
    number: int,
    *,
    module: str = "trainer",
    python: str = sys.executable,
    pass_fds: Sequence[int] = (),
) -> None:
    """Run the trainer, or a module with its options, at one size; an interrupted run resumes."""
    options = dict(typed) | {
        "model": plan.settings.recipe.model,
        "global_batch_size": size.world_size * size.batch_size,
        "out": str(directory),
    }
    # The settings of the recipe are among `typed`.
    options.pop("recipe", None)
    local_ranks = size.world_size // config.nnodes
    with TemporaryDirectory(prefix="bench-scaling-") as folder:
        profile = Path(folder, "settings.json")
        profile.write_text(json.dumps(options))
        torchrun(
            config,
            local_ranks,
            *("-m", module, "--profile-file", str(profile)),
            python=python,
            number=number,
            cores=None if plan.gpus else local_ranks * (config.cores_per_rank or 1),
            pass_fds=pass_fds,
        )


def _report(
    benchmark: ScalingBenchmark, plan: ScalingPlan, data: TrainingData, trainings: list[Training]
) -> None:
    metric = trainings[0].metric
    report(
        f"trainings: {plan.settings.recipe.model} at {data.image_size_px} px",
        "images/s",
        [Measurement(name=each.name, values=(each.images_per_second,)) for each in trainings],
        kind=TRAININGS,
        facts={
            "trainings": [asdict(training) for training in trainings],
            "settings": asdict(benchmark) | plan.settings.to_dict(),
            "dataset": data.fingerprint,
        },
        columns={
            "time": {each.name: clock(each.seconds) for each in trainings},
            "epochs": {each.name: f"{each.epochs:.2f}" for each in trainings},
            metric: {x.name: f"{x.final:.2%}" for x in trainings if x.final is not None},
        },
        finding=compare_trainings(trainings),
        output=benchmark.output,
    )


def _read(size: Size, directory: Path, metric: str) -> Training:
    records = read_records(directory)
    summary = records[-1]
    scores = [record[metric] for record in records if metric in record]
    return Training(
        mode=size.mode,
        world_size=size.world_size,
        global_batch_size=size.world_size * size.batch_size,
        directory=str(directory),
        seconds=summary["elapsed_seconds"],
        epochs=summary["epoch"],
        images_per_second=summary["total"]["images_per_second"],
        metric=metric,
        final=scores[-1] if scores else None,
        best=max(scores, default=None),
    )


def compare_trainings(trainings: Sequence[Training]) -> str:
    """The largest size compared with the smallest."""
    first, last = trainings[0], trainings[-1]
    if first is last:
        return f"{first}."
    times = figure(last.images_per_second / first.images_per_second)
    return f"{first}; {last}, {times} times the images/s."
