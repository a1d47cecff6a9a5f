"""A study from its first training to its report."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from benchmarks.keras.limits import check_settings as check_keras
from benchmarks.measuring.result_file import read_bundle
from benchmarks.measuring.virtualenvs import prepare_keras
from benchmarks.measuring.worker_process import exit_on_sigterm
from benchmarks.predict.__main__ import main as predict
from benchmarks.predict.networks import parse_link
from benchmarks.report.__main__ import main as report_page
from benchmarks.scaling.measure_ladder import measure_ladder
from benchmarks.scaling.plan import ScalingPlan, Size, check_model, plan_scaling
from benchmarks.scaling.record import STRONG, read_points
from benchmarks.scaling.to_end import train
from benchmarks.study.config import Study
from benchmarks.study.folder import lock_folder, same_settings
from benchmarks.study.report import report_study
from benchmarks.study.trials import (
    MODULES,
    Trial,
    check_settings,
    is_done,
    plan_cells,
    read_outcome,
)
from pipeline.errors import DataError, MisuseError
from trainer.config import Settings
from trainer.data import TrainingData, open_data
from trainer.tasks.tasks import TASKS

# The trainer's 90 are hours on a CPU.
CPU_EPOCHS = 10.0
# What a training is told and a stall ladder isn't.
_OF_TRAININGS = ("out", "epochs", "max_minutes", "target_top1", "seed", "resume")


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What is trained, all said; `told` are the settings that each training is given."""

    study: Study
    sizes: ScalingPlan
    data: TrainingData
    told: Mapping[str, Any]
    folder: Path

    @property
    def settings(self) -> Settings:
        return self.sizes.settings

    @property
    def task(self) -> str:
        assert self.data.dataset is not None
        return self.data.dataset.manifest.task

    @property
    def cells(self) -> list[Trial]:
        study = self.study
        return plan_cells(self.folder, study.frameworks, self.sizes.ranks, study.seeds)


def run_study(study: Study, settings: Settings, typed: Mapping[str, Any]) -> None:
    """Train what is not trained yet, measure the ladder, predict, report.

    Raises ``DataError`` where a training fails; those before it stay.
    """
    plan = _plan(study, settings, typed)
    _check(plan)
    with exit_on_sigterm(), lock_folder(plan.folder, machines=study.nnodes) as lock:
        pythons = _pythons(study)
        for number, cell in enumerate(plan.cells):
            name = f"{number + 1} of {len(plan.cells)}: {cell}"
            if is_done(cell):
                click.echo(f"{name} is done.")
                continue
            click.echo(f"{name}.")
            _train(plan, cell, pythons, number, lock)
        ladder = _ladder(plan)
        if not ladder.exists():
            click.echo("Trained and measured; the machine of rank 0 has the report.")
            return
        prediction = _prediction(plan, ladder)
        _report(plan, ladder, prediction)


def _plan(study: Study, settings: Settings, typed: Mapping[str, Any]) -> StudyPlan:
    data = open_data(settings.pipeline, synthetic=False)
    told = {"global_batch_size": settings.recipe.global_batch_size, **typed}
    sizes = plan_scaling(study, settings, told, image_size_px=data.image_size_px, modes=(STRONG,))
    told["model"] = sizes.settings.recipe.model
    if not sizes.gpus and not {"epochs", "max_minutes", "target_top1"} & typed.keys():
        told["epochs"] = CPU_EPOCHS
    planned = Settings.from_options(**{**sizes.settings.to_dict(), **told})
    return StudyPlan(
        study=study,
        sizes=replace(sizes, settings=planned),
        data=data,
        told=told,
        folder=Path(str(settings.run.out)),
    )


def _check(plan: StudyPlan) -> None:
    """Everything that can be wrong, before hours are spent on it."""
    parse_link("--between", plan.study.between)
    if plan.settings.run.resume != "auto":
        raise MisuseError("A study goes on by itself: leave out --resume.")
    if "keras" in plan.study.frameworks:
        if plan.sizes.gpus:
            raise MisuseError("Keras trains on the CPU here: give --device cpu, or leave it out.")
        check_keras(plan.settings, task=plan.task)
    check_model(plan.settings, plan.data)
    for cell in plan.cells:
        check_settings(cell, plan.settings.to_dict(), plan.data.fingerprint)


def _pythons(study: Study) -> dict[str, str]:
    """Framework -> the Python that has it."""
    pythons = {"pytorch": sys.executable}
    if "keras" in study.frameworks:
        environment = prepare_keras(Path(study.environment))
        if environment.missing:
            raise DataError("; ".join(environment.missing.values()))
        pythons["keras"] = environment.python
    return pythons


def _train(
    plan: StudyPlan, cell: Trial, pythons: Mapping[str, str], number: int, lock: int
) -> None:
    batch_size = plan.sizes.global_batch_size // cell.ranks
    cell.directory.parent.mkdir(parents=True, exist_ok=True)
    train(
        plan.study,
        plan.sizes,
        {**plan.told, "seed": cell.seed},
        Size(mode=STRONG, world_size=cell.ranks, batch_size=batch_size),
        cell.directory,
        number,
        module=MODULES[cell.framework],
        python=pythons[cell.framework],
        pass_fds=(lock,),
    )


def _ladder(plan: StudyPlan) -> Path:
    """bench-scaling's result, of PyTorch; measured once for the same settings."""
    path = plan.folder / "scaling.json"
    sizes = plan.sizes
    told = {
        **{name: value for name, value in plan.told.items() if name not in _OF_TRAININGS},
        "global_batch_size": sizes.global_batch_size,
    }
    # One rank is what a prediction starts from, and the batch of the largest size is measured once.
    study = replace(
        plan.study,
        ranks=tuple(sorted({1, *sizes.ranks})),
        batch_size=plan.study.batch_size or sizes.global_batch_size // sizes.ranks[-1],
        output=str(path),
    )
    wanted = {**plan.settings.to_dict(), **told}
    wanted = {name: value for name, value in wanted.items() if name not in _OF_TRAININGS}
    wanted |= {name: getattr(study, name) for name in ("ranks", "batch_size", "seconds", "runs")}
    if not same_settings(path, wanted):
        click.echo("Where each step goes:")
        measure_ladder(study, plan.settings, told)
    return path


def _prediction(plan: StudyPlan, ladder: Path) -> Path:
    """bench-predict's, of twice the machines; the link within one is measured on the CPU."""
    path, sizes, link = plan.folder / "prediction.json", plan.sizes, plan.study.between
    is_kept = path.exists() and path.stat().st_mtime >= ladder.stat().st_mtime
    if not is_kept or read_bundle(path)["network"]["between"]["name"] != link:
        most = 2 * sizes.ranks[-1]
        arguments = [str(ladder), "--output", str(path), "--max-ranks", str(most)]
        arguments += ["--ranks-per-node", str(sizes.ranks_per_node), "--between", link]
        arguments += [] if sizes.gpus or most < 4 else ["--measure-network"]
        predict.main(arguments, standalone_mode=False)
    return path


def _report(plan: StudyPlan, ladder: Path, prediction: Path) -> None:
    metric, target = TASKS[plan.task].primary_metric, plan.settings.run.target_top1
    outcomes = [read_outcome(cell, metric=metric, target=target) for cell in plan.cells]
    output = plan.folder / "study.json"
    report_study(
        outcomes,
        metric=metric,
        points=read_points(read_bundle(ladder)),
        prediction=read_bundle(prediction),
        study=plan.study,
        settings=plan.settings,
        output=output,
    )
    # Curves of one seed: those of all would lie on each other.
    runs = [cell.directory for cell in plan.cells if cell.seed == plan.study.seeds[0]]
    arguments = [*map(str, (output, ladder, prediction, *runs))]
    arguments += ["--out", str(plan.folder / "report")]
    report_page.main(arguments, standalone_mode=False)
