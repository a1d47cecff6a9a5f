"""Panels and table of training runs: accuracy by wall time, and the parts of the wall time."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.report.axes import stacked_bars
from benchmarks.report.bar_charts import BAR_INCHES, MARGIN_INCHES
from benchmarks.report.page import Table, build_table
from benchmarks.report.panels import Panel
from pipeline.chart_style import BLUE, ORANGE, PURPLE
from pipeline.duration_text import clock
from trainer.plotting.curves import Run, first_score, headline, wait_finding
from trainer.plotting.figure import curve_style, scale_score, time_unit
from trainer.tasks.metric_names import METRIC_NAMES

TIME_COLORS = {"waiting for data": BLUE, "compute": ORANGE, "evaluation and checkpoints": PURPLE}
# A run that has only begun has no wall time yet.
_SHORTEST_SECONDS = 1e-9


def run_panels(runs: Sequence[Run]) -> list[Panel]:
    return [*([accuracy_panel(runs)] if first_score(runs) else []), _time(runs)]


def accuracy_panel(runs: Sequence[Run]) -> Panel:
    """Validation scores of `runs` that have the metric of the first one with any."""
    score = str(first_score(runs))
    runs = [run for run in runs if run.score == score]
    seconds, unit = time_unit(runs)
    short_unit = {"seconds": "s", "minutes": "min", "hours": "h"}[unit]

    def draw(axes: Any) -> None:
        for number, run in enumerate(runs):
            axes.plot(
                [record["elapsed_seconds"] / seconds for record in run.evaluations],
                [record[score] for record in run.evaluations],
                marker="o",
                label=run.name,
                **curve_style(number),
            )
        scale_score(axes, score)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"wall time of training, {short_unit}")
        axes.grid(True)
        if len(runs) > 1:
            axes.legend(loc="lower right")

    return Panel(
        name="accuracy",
        title=headline(runs),
        description=f"Validation {METRIC_NAMES[score][0]} by wall time",
        draw=draw,
    )


def _time(runs: Sequence[Run]) -> Panel:
    shares, label = [time_shares(run) for run in runs], "share of the wall time of training"
    parts = {part: [run_shares[part] for run_shares in shares] for part in TIME_COLORS}
    names = [run.name for run in runs]
    return Panel(
        name="run-time",
        title=wait_finding(runs),
        description=f"Bars of the shares of each run's wall time: {', '.join(TIME_COLORS)}",
        draw=lambda axes: stacked_bars(axes, names, parts, TIME_COLORS, label, shares=True),
        height_inches=MARGIN_INCHES + 0.3 + 1.2 * BAR_INCHES * len(runs),
    )


def time_shares(run: Run) -> dict[str, float]:
    """Parts of the wall time from the first step to the end."""
    total, wall = run.summary.total, run.summary.elapsed_seconds
    steps = min(total.seconds, wall) if total else 0.0
    waiting = total.data_share * steps if total else 0.0
    seconds = (waiting, steps - waiting, wall - steps)
    return dict(
        zip(TIME_COLORS, (part / max(wall, _SHORTEST_SECONDS) for part in seconds), strict=True)
    )


def runs_table(runs: Sequence[Run]) -> Table:
    """Time to each accuracy, the best score, throughput and wall time."""
    milestones = sorted({reached.top1 for run in runs for reached in run.summary.milestones})
    score = first_score(runs)

    def time_to(top1: float) -> Callable[[Run], str]:
        return lambda run: next(
            (clock(m.elapsed_seconds) for m in run.summary.milestones if m.top1 == top1), ""
        )

    return build_table(
        runs,
        {
            "run": lambda run: run.name,
            **{f"time to {top1:.0%}": time_to(top1) for top1 in milestones},
            f"best {METRIC_NAMES[score][0]}" if score else "best": lambda run: (
                f"{run.best:{METRIC_NAMES[run.score][1]}}" if run.score else ""
            ),
            "images/s": lambda run: f"{run.steady.images_per_second:,.0f}" if run.steady else "",
            "waiting for data": lambda run: f"{run.steady.data_share:.1%}" if run.steady else "",
            "wall time": lambda run: clock(run.summary.elapsed_seconds),
        },
    )
