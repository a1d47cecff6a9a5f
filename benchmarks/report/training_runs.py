"""Panels of training runs: accuracy against wall time, and where the time went."""

from collections.abc import Sequence
from typing import Any

from matplotlib.ticker import PercentFormatter

from benchmarks.report.axes import stacked_shares
from benchmarks.report.bar_charts import BAR_INCHES, MARGIN_INCHES
from benchmarks.report.page import Table
from benchmarks.report.panels import Panel
from pipeline.chart_style import BLUE, CYCLE, ORANGE, PURPLE
from trainer.plotting.curves import Run, headline, wait_finding
from trainer.run.duration import clock
from trainer.tasks.scores import METRIC_NAMES

TIME_COLORS = {"waiting for data": BLUE, "computing": ORANGE, "the rest": PURPLE}


def run_panels(runs: Sequence[Run]) -> list[Panel]:
    if not runs:
        return []
    scored = [run for run in runs if run.score]
    return [*([_accuracy(scored)] if scored else []), _time(runs)]


def _accuracy(runs: Sequence[Run]) -> Panel:
    """Of the runs with the first one's metric."""
    score = str(runs[0].score)
    alike = [run for run in runs if run.score == score]
    longest = max(run.summary.elapsed_seconds for run in alike)
    seconds, unit = (
        (1.0, "s") if longest < 180 else (60.0, "min") if longest < 10800 else (3600.0, "h")
    )

    def draw(axes: Any) -> None:
        for number, run in enumerate(alike):
            axes.plot(
                [record["elapsed_seconds"] / seconds for record in run.evaluations],
                [record[score] for record in run.evaluations],
                marker="o",
                color=CYCLE[number % len(CYCLE)],
                linestyle=("-", "--", ":")[number // len(CYCLE) % 3],
                label=run.name,
            )
        if score != "r2":
            axes.set_ylim(0, 1.02)
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlim(left=0)
        axes.set_xlabel(f"wall time of training, {unit}")
        axes.set_ylabel(f"validation {METRIC_NAMES[score][0]}")
        axes.grid(True)
        if len(alike) > 1:
            axes.legend(loc="lower right")

    return Panel(
        name="accuracy",
        title=headline(alike),
        shows=f"Validation {METRIC_NAMES[score][0]} against wall time",
        draw=draw,
    )


def _time(runs: Sequence[Run]) -> Panel:
    """The rest is evaluations and checkpoints."""

    def draw(axes: Any) -> None:
        shares = [time_shares(run) for run in runs]
        stacked_shares(
            axes,
            [run.name for run in runs],
            {part: [each[part] for each in shares] for part in TIME_COLORS},
            TIME_COLORS,
            "share of the wall time of training",
        )

    return Panel(
        name="run-time",
        title=wait_finding(runs),
        shows="Bars of the shares of each run's wall time: waiting for data, computing, and the "
        "rest, which is evaluations and checkpoints",
        draw=draw,
        height_inches=MARGIN_INCHES + 0.3 + 1.2 * BAR_INCHES * len(runs),
    )


def time_shares(run: Run) -> dict[str, float]:
    """Of the wall time from the first step to the end."""
    total, whole = run.summary.total, run.summary.elapsed_seconds
    steps = min(total.seconds, whole) if total else 0.0
    waiting = total.data_share * steps if total else 0.0
    return {
        "waiting for data": waiting / whole,
        "computing": (steps - waiting) / whole,
        "the rest": (whole - steps) / whole,
    }


def runs_table(runs: Sequence[Run]) -> Table:
    """Time to each accuracy, the best one, and the rate."""
    reached = sorted({found.top1 for run in runs for found in run.summary.milestones})
    rows = []
    for run in runs:
        times = {found.top1: clock(found.elapsed_seconds) for found in run.summary.milestones}
        best = "" if run.score is None else f"{run.best:{METRIC_NAMES[run.score][1]}}"
        rate = "" if run.steady is None else f"{run.steady.images_per_second:,.0f}"
        share = "" if run.steady is None else f"{run.steady.data_share:.1%}"
        row = (run.name, *(times.get(top1, "") for top1 in reached), best, rate, share)
        rows.append((*row, clock(run.summary.elapsed_seconds)))
    score = next((run.score for run in runs if run.score), None)
    headers = ("run", *(f"time to {top1:.0%}" for top1 in reached))
    best_name = f"best {METRIC_NAMES[score][0]}" if score else "best"
    return Table(
        headers=(*headers, best_name, "images/s", "waiting for data", "wall time"), rows=tuple(rows)
    )
