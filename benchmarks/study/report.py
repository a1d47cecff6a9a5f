"""The result of a study: a row for each configuration, and the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.result_file import STUDY
from benchmarks.measuring.table import report
from benchmarks.report.study import median_and_range
from benchmarks.report.study_record import Configuration
from pipeline.duration_text import clock
from trainer.config import Settings
from trainer.tasks.metric_names import METRIC_NAMES


def report_study(
    configurations: Sequence[Configuration],
    *,
    metric: str,
    answers: Mapping[str, str],
    finding: str,
    options: Mapping[str, Any],
    settings: Settings,
    output: Path,
) -> None:
    """Print the table, the `answers` to questions and the `finding`, and write the result to
    `output`."""
    title, style = METRIC_NAMES[metric]
    efficiency = {c.name: f"{c.efficiency:.0%}" for c in configurations if c.samples is None}
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
            "settings": {
                **options,
                **settings.to_dict(),
                "train_samples": options["train_samples"],
            },
        },
        columns={
            **({"efficiency": efficiency} if efficiency else {}),
            "time": {c.name: clock(c.median("seconds")) for c in configurations},
            "epochs": {c.name: f"{c.median('epochs'):.2f}" for c in configurations},
            title: {c.name: median_and_range(c.values("score"), score) for c in configurations},
        },
        ratios=False,
        notes=[f"{question} {answer}" for question, answer in answers.items()],
        finding=finding,
        output=str(output),
    )
