"""The result of a study: a row for each configuration, and the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.result_file import STUDY
from benchmarks.measuring.table import report
from benchmarks.report.study import median_and_range
from benchmarks.report.study_record import TrialResult
from benchmarks.scaling.record import Point
from benchmarks.study.configurations import group_results
from benchmarks.study.findings import answer_questions, find_speed_up
from benchmarks.study.trials import Trial
from pipeline.duration_text import clock
from trainer.config import Settings
from trainer.tasks.metric_names import METRIC_NAMES


def report_study(
    results: Mapping[Trial, TrialResult],
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
    answers = answer_questions(
        configurations, metric=metric, points=points, prediction=prediction, run=settings.run
    )
    title, style = METRIC_NAMES[metric]
    score = f"{{:{style}}}".format
    report(
        f"study: {settings.recipe.model}, global batch {settings.recipe.global_batch_size}",
        "images/s",
        [Measurement(name=c.name, values=c.values("images_per_second")) for c in configurations],
        kind=STUDY,
        facts={
            "configurations": [asdict(c) for c in configurations],
            "metric": metric,
            "answers": answers,
            "settings": {**options, **settings.to_dict()},
        },
        columns={
            "efficiency": {c.name: f"{c.efficiency:.0%}" for c in configurations},
            "time": {c.name: clock(c.median("seconds")) for c in configurations},
            "epochs": {c.name: f"{c.median('epochs'):.2f}" for c in configurations},
            title: {c.name: median_and_range(c.values("score"), score) for c in configurations},
        },
        ratios=False,
        notes=[f"{question} {answer}" for question, answer in answers.items()],
        finding=find_speed_up(configurations),
        output=str(output),
    )
