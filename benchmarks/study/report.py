"""The result of a study: a row for each configuration, and the answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.result_file import STUDY
from benchmarks.measuring.table import report
from benchmarks.report.study import median_and_range
from benchmarks.scaling.record import Point
from benchmarks.study.answers import (
    QUESTIONS,
    answer_accuracy,
    answer_faster,
    answer_node,
    answer_plateau,
    find_speed_up,
)
from benchmarks.study.configurations import efficiency, group_results
from benchmarks.study.trials import TrialResult
from trainer.config import Settings
from trainer.run.duration import clock
from trainer.tasks.scores import METRIC_NAMES


def report_study(
    results: Sequence[TrialResult],
    *,
    metric: str,
    points: Sequence[Point],
    prediction: Mapping[str, Any],
    options: Mapping[str, Any],
    settings: Settings,
    output: Path,
) -> None:
    """Print the table and the answers, and write the result to `output`."""
    configurations = group_results(results)
    run, recipe = settings.run, settings.recipe
    answers = (
        answer_faster(configurations, timed=run.max_minutes is not None, target=run.target_top1),
        answer_accuracy(configurations, metric),
        answer_plateau(configurations, points),
        answer_node(prediction, max(c.ranks for c in configurations)),
    )
    answered = dict(zip(QUESTIONS, answers, strict=True))
    efficiencies = {c.name: efficiency(c, configurations) for c in configurations}
    title, style = METRIC_NAMES[metric]
    score = f"{{:{style}}}".format
    report(
        f"study: {recipe.model}, global batch {recipe.global_batch_size}",
        "images/s",
        [Measurement(name=c.name, values=c.values("images_per_second")) for c in configurations],
        kind=STUDY,
        facts={
            "configurations": [c.to_dict(efficiencies[c.name]) for c in configurations],
            "metric": metric,
            "answers": answered,
            "settings": {**options, **settings.to_dict()},
        },
        columns={
            "efficiency": {name: f"{value:.0%}" for name, value in efficiencies.items()},
            "time": {c.name: clock(c.median("seconds")) for c in configurations},
            "epochs": {c.name: f"{c.median('epochs'):.2f}" for c in configurations},
            title: {c.name: median_and_range(c.values("score"), score) for c in configurations},
        },
        ratios=False,
        notes=[f"{question} {answer}" for question, answer in answered.items()],
        finding=find_speed_up(configurations),
        output=str(output),
    )
