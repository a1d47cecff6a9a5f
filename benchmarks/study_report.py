"""What a study came to: a row for each training, a table of the configurations, the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measurement, figure, report
from benchmarks.scaling_record import STRONG, Point
from benchmarks.scaling_trainings import Training
from benchmarks.study import Study
from benchmarks.study_answers import (
    QUESTIONS,
    Group,
    answer_accuracy,
    answer_faster,
    answer_node,
    answer_plateau,
    efficiency,
    grouped,
)
from benchmarks.study_cells import Outcome
from trainer.clock import clock
from trainer.config import Settings


def report_study(
    outcomes: Sequence[Outcome],
    *,
    points: Sequence[Point],
    prediction: Mapping[str, Any],
    study: Study,
    settings: Settings,
    output: Path,
) -> None:
    """Print the tables and the answers, and write the bundle to `output`."""
    groups = grouped(outcomes)
    run = settings.run
    answers = (
        answer_faster(groups, timed=run.max_minutes is not None, target=run.target_top1),
        answer_accuracy(groups),
        answer_plateau(groups, points),
        answer_node(prediction, max(group.ranks for group in groups)),
    )
    _show(groups)
    said = [f"{question} {answer}" for question, answer in zip(QUESTIONS, answers, strict=True)]
    report(
        f"study: {settings.recipe.model}, global batch {settings.recipe.global_batch_size}",
        "images/s",
        [Measurement(name=str(each.cell), values=(each.images_per_second,)) for each in outcomes],
        facts={
            "trainings": [asdict(_training(each, settings)) for each in outcomes],
            "answers": dict(zip(QUESTIONS, answers, strict=True)),
            "settings": asdict(study) | settings.plain(),
        },
        columns={
            "time": {str(each.cell): clock(each.seconds) for each in outcomes},
            "epochs": {str(each.cell): f"{each.epochs:.2f}" for each in outcomes},
            "top-1": {
                str(each.cell): f"{each.top1:.2%}" for each in outcomes if each.top1 is not None
            },
        },
        notes=said[1:],
        finding=said[0],
        output=str(output),
    )


def _training(outcome: Outcome, settings: Settings) -> Training:
    return Training(
        mode=STRONG,
        world_size=outcome.cell.ranks,
        global_batch_size=settings.recipe.global_batch_size,
        directory=str(outcome.cell.directory),
        seconds=outcome.seconds,
        epochs=outcome.epochs,
        images_per_second=outcome.images_per_second,
        metric="top1",
        final=outcome.top1,
        best=outcome.best_top1,
    )


def _show(groups: Sequence[Group]) -> None:
    """Medians over the seeds, with the lowest and highest where there are several."""
    table = Table(title="configurations", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    for header in ("time", "epochs", "images/s", "efficiency", "waits for data", "top-1"):
        table.add_column(header, justify="right")
    for group in groups:
        scores = sorted(group.values(lambda outcome: outcome.top1))
        span = f" ({scores[0]:.2%} to {scores[-1]:.2%})" if len(scores) > 1 else ""
        top1 = group.median(lambda outcome: outcome.top1)
        table.add_row(
            group.name,
            clock(group.median(lambda outcome: outcome.seconds) or 0),
            f"{group.median(lambda outcome: outcome.epochs) or 0:.2f}",
            figure(group.images_per_second),
            f"{efficiency(group, groups):.0%}",
            f"{group.median(lambda outcome: outcome.data_share) or 0:.1%}",
            "" if top1 is None else f"{top1:.2%}{span}",
        )
    Console(width=120).print(table)
