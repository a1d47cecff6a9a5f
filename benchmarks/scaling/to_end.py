"""bench-scaling --max-minutes, --to-end: whole trainings by the trainer, one at each size."""

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
from benchmarks.scaling.config import ScalingBenchmark
from benchmarks.scaling.plan import ScalingPlan, Size, check_model, plan_scaling
from benchmarks.scaling.record import STRONG, size_name
from benchmarks.scaling.torchrun import torchrun
from pipeline.errors import MisuseError
from trainer.config import Settings
from trainer.data import open_data
from trainer.run.duration import clock
from trainer.run.metrics_reader import read_records
from trainer.run.run_dir import RUNS
from trainer.tasks.tasks import TASKS


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a run came to; `metric` is the task's, None where there is no validation split."""

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


def measure_trainings(
    benchmark: ScalingBenchmark, settings: Settings, typed: Mapping[str, Any]
) -> None:
    data = open_data(settings.pipeline, synthetic=False)
    assert data.dataset is not None
    strong = {"global_batch_size": settings.recipe.global_batch_size}
    plan = plan_scaling(benchmark, settings, strong | dict(typed), image_size_px=data.image_size_px)
    check_model(plan.settings, data)
    for ranks in plan.ranks:
        if ranks % benchmark.nnodes:
            raise MisuseError(
                f"A training takes all machines: --ranks {ranks} can't be divided by --nnodes "
                f"{benchmark.nnodes}."
            )
    folder = Path(settings.run.out or RUNS / time.strftime("scaling-%Y%m%d-%H%M%S"))
    metric = TASKS[data.dataset.manifest.task].primary_metric
    trainings = []
    sizes = [size for size in plan.sizes if size.mode in (benchmark.mode or (STRONG,))]
    for number, size in enumerate(sizes):
        directory = folder / f"{size.mode}-{size.world_size}"
        train(benchmark, plan, typed, size, directory, number)
        if directory.exists():
            trainings.append(_read(size, directory, metric))
    if not trainings:
        print("Trained; the machine of rank 0 has the results.")
        return
    report(
        f"trainings: {plan.settings.recipe.model} at {data.image_size_px} px",
        "images/s",
        [Measurement(name=each.name, values=(each.images_per_second,)) for each in trainings],
        kind=TRAININGS,
        facts={
            "trainings": [asdict(each) for each in trainings],
            "settings": asdict(benchmark) | plan.settings.to_dict(),
            "dataset": data.fingerprint,
        },
        columns=_columns(trainings),
        finding=find_gain(trainings),
        output=benchmark.output,
    )


def train(
    benchmark: ScalingBenchmark,
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
    """The trainer, or a module with its options, at one size; a run that was ended early goes
    on."""
    told = dict(typed) | {
        "model": plan.settings.recipe.model,
        "global_batch_size": size.world_size * size.batch_size,
        "out": str(directory),
    }
    # The name alone, whose values are among the others.
    told.pop("recipe", None)
    local_ranks = size.world_size // benchmark.nnodes
    with TemporaryDirectory(prefix="bench-scaling-") as folder:
        profile = Path(folder, "settings.json")
        profile.write_text(json.dumps(told))
        torchrun(
            benchmark,
            local_ranks,
            *("-m", module, "--profile-file", str(profile)),
            python=python,
            number=number,
            cores=None if plan.gpus else local_ranks * (benchmark.cores_per_rank or 1),
            pass_fds=pass_fds,
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


def _columns(trainings: Sequence[Training]) -> dict[str, dict[str, str]]:
    metric = trainings[0].metric
    return {
        "time": {each.name: clock(each.seconds) for each in trainings},
        "epochs": {each.name: f"{each.epochs:.2f}" for each in trainings},
        metric: {each.name: f"{each.final:.2%}" for each in trainings if each.final is not None},
    }


def find_gain(trainings: Sequence[Training]) -> str:
    """The sentence: the largest size beside the smallest."""
    first, last = trainings[0], trainings[-1]
    said = [_reached(each) for each in ((first,) if last is first else (first, last))]
    faster = f", {figure(last.images_per_second / first.images_per_second)} times the images/s"
    return f"{'; '.join(said)}{faster if last is not first else ''}."


def _reached(training: Training) -> str:
    score = "" if training.final is None else f", {training.metric} {training.final:.2%}"
    return f"{training.name}: {training.epochs:.2f} epochs in {clock(training.seconds)}{score}"
