"""What a study came to: a row for each configuration, and the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.result_file import STUDY
from benchmarks.measuring.table import report
from benchmarks.scaling.record import Point
from benchmarks.study.answers import (
    QUESTIONS,
    answer_accuracy,
    answer_faster,
    answer_node,
    answer_plateau,
    verdict,
)
from benchmarks.study.config import Study
from benchmarks.study.configurations import Group, efficiency, grouped
from benchmarks.study.trials import Outcome
from trainer.config import Settings
from trainer.run.duration import clock
from trainer.tasks.scores import METRIC_NAMES


def report_study(
    outcomes: Sequence[Outcome],
    *,
    metric: str,
    points: Sequence[Point],
    prediction: Mapping[str, Any],
    study: Study,
    settings: Settings,
    output: Path,
) -> None:
    """Print the table and the answers, and write the bundle to `output`."""
    groups = grouped(outcomes)
    run = settings.run
    answers = (
        answer_faster(groups, timed=run.max_minutes is not None, target=run.target_top1),
        answer_accuracy(groups, metric),
        answer_plateau(groups, points),
        answer_node(prediction, max(group.ranks for group in groups)),
    )
    efficiencies = {group.name: efficiency(group, groups) for group in groups}
    said = [f"{question} {answer}" for question, answer in zip(QUESTIONS, answers, strict=True)]
    report(
        f"study: {settings.recipe.model}, global batch {settings.recipe.global_batch_size}",
        "images/s",
        [Measurement(name=group.name, values=group.rates) for group in groups],
        kind=STUDY,
        facts={
            "configurations": [group.as_record(efficiencies[group.name]) for group in groups],
            "metric": metric,
            "answers": dict(zip(QUESTIONS, answers, strict=True)),
            "settings": asdict(study) | settings.to_dict(),
        },
        columns={
            "efficiency": {name: f"{value:.0%}" for name, value in efficiencies.items()},
            "time": {
                group.name: clock(group.median(lambda each: each.seconds)) for group in groups
            },
            "epochs": {
                group.name: f"{group.median(lambda each: each.epochs):.2f}" for group in groups
            },
            METRIC_NAMES[metric][0]: _scores(groups, METRIC_NAMES[metric][1]),
        },
        ratios=False,
        notes=said,
        finding=verdict(groups),
        output=str(output),
    )


def _scores(groups: Sequence[Group], style: str) -> dict[str, str]:
    """The median of the seeds, with the lowest and the highest where there are several."""
    shown = {}
    for group in groups:
        scores = sorted(group.values(lambda each: each.score))
        if scores:
            span = f" ({scores[0]:{style}} to {scores[-1]:{style}})" if len(scores) > 1 else ""
            shown[group.name] = f"{group.median(lambda each: each.score):{style}}{span}"
    return shown
