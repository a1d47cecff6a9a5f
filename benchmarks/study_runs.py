"""A study from its first training to its report."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from benchmarks.bundle import read_bundle
from benchmarks.environments import prepare_keras
from benchmarks.predict import main as predict
from benchmarks.racing import orderly_termination
from benchmarks.report import main as report_page
from benchmarks.scaling_ladder import measure_ladder
from benchmarks.scaling_plan import ScalingPlan, Size, plan_scaling
from benchmarks.scaling_record import STRONG, read_points
from benchmarks.scaling_trainings import train
from benchmarks.study import Study
from benchmarks.study_cells import (
    MODULES,
    Cell,
    check_settings,
    is_done,
    plan_cells,
    read_outcome,
)
from benchmarks.study_report import report_study
from pipeline.errors import DataError, MisuseError
from trainer.config import Settings
from trainer.data import open_data

# What a training is told and a stall ladder isn't.
_OF_TRAININGS = ("out", "epochs", "max_minutes", "target_top1", "seed")


def run_study(study: Study, settings: Settings, typed: Mapping[str, Any]) -> None:
    """Train what is not trained yet, measure the ladder, predict, report.

    Raises ``DataError`` where a training fails; those before it stay.
    """
    folder = Path(str(settings.run.out))
    data = open_data(settings.pipeline, synthetic=False)
    told = {"global_batch_size": settings.recipe.global_batch_size} | dict(typed)
    strong = replace(study, mode=(STRONG,))
    plan = plan_scaling(strong, settings, told, image_size_px=data.image_size_px)
    pythons = _pythons(study, plan)
    cells = plan_cells(folder, study.frameworks, plan.ranks, study.seeds)
    told["model"] = plan.settings.recipe.model
    told.pop("out", None)
    with orderly_termination():
        for number, cell in enumerate(cells):
            check_settings(cell, told | {"seed": cell.seed})
            if is_done(cell):
                click.echo(f"{number + 1} of {len(cells)}: {cell} is done.")
                continue
            click.echo(f"{number + 1} of {len(cells)}: {cell}.")
            _train(cell, study, plan, told, pythons, number)
        outcomes = [read_outcome(cell, settings.run.target_top1) for cell in cells]
        ladder = _ladder(study, settings, typed, folder / "scaling.json")
        prediction = _prediction(study, plan, ladder, folder / "prediction.json")
    report_study(
        outcomes,
        points=read_points(read_bundle(ladder)),
        prediction=read_bundle(prediction),
        study=study,
        settings=plan.settings,
        output=folder / "study.json",
    )
    paths = (folder / "study.json", ladder, prediction, *(cell.directory for cell in cells))
    arguments = [*map(str, paths), "--out", str(folder / "report")]
    report_page.main(arguments, standalone_mode=False)


def _pythons(study: Study, plan: ScalingPlan) -> dict[str, str]:
    """Framework -> the Python that has it."""
    if "keras" not in study.frameworks:
        return {"pytorch": sys.executable}
    if plan.gpus:
        raise MisuseError("Keras trains on the CPU here: give --device cpu, or leave it out.")
    environment = prepare_keras(Path(study.environment))
    if environment.missing:
        raise DataError("; ".join(environment.missing.values()))
    return {"pytorch": sys.executable, "keras": environment.python}


def _train(
    cell: Cell,
    study: Study,
    plan: ScalingPlan,
    told: Mapping[str, Any],
    pythons: Mapping[str, str],
    number: int,
) -> None:
    size = Size(mode=STRONG, world_size=cell.ranks, batch_size=plan.global_batch_size // cell.ranks)
    cell.directory.parent.mkdir(parents=True, exist_ok=True)
    train(
        study,
        plan,
        dict(told) | {"seed": cell.seed},
        size,
        cell.directory,
        number,
        module=MODULES[cell.framework],
        python=pythons[cell.framework],
    )


def _ladder(study: Study, settings: Settings, typed: Mapping[str, Any], path: Path) -> Path:
    """bench-scaling's result, of PyTorch, measured once."""
    if not path.exists():
        click.echo("Where each step goes:")
        plain = {name: value for name, value in typed.items() if name not in _OF_TRAININGS}
        measure_ladder(replace(study, output=str(path)), settings, plain)
    return path


def _prediction(study: Study, plan: ScalingPlan, ladder: Path, path: Path) -> Path:
    """bench-predict's, of twice the machines; the link within one is measured on the CPU."""
    if not path.exists():
        most = 2 * plan.ranks[-1]
        arguments = [str(ladder), "--output", str(path), "--max-ranks", str(most)]
        arguments += ["--ranks-per-node", str(plan.ranks_per_node), "--between", study.between]
        arguments += [] if plan.gpus else ["--measure-network"]
        predict.main(arguments, standalone_mode=False)
    return path
