"""Curves of several runs in one picture: a row a quantity, against samples and against wall time.

A title says the finding, an axis has its unit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    EngFormatter,
    FuncFormatter,
    LogLocator,
    NullFormatter,
    PercentFormatter,
)

from pipeline.chart_style import CYCLE, GRAY, STYLE
from pipeline.errors import DataError
from trainer.plotting.curves import (
    Run,
    headline,
    learning_rate_finding,
    loss_finding,
    rate_finding,
    score_finding,
    thinned,
    wait_finding,
)
from trainer.run.metrics_reader import Record
from trainer.tasks.scores import METRIC_NAMES

LINES = ("-", "--", ":", "-.")  # a fresh one each time the colors begin again
RESTART: Any = {"linewidth": 1, "linestyle": (0, (1, 2))}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A quantity: the field of an interval, the field of an evaluation, or both."""

    title: str
    unit: str
    interval: str | None = None
    evaluation: str | None = None
    height: float = 1.0
    scale: Callable[[Any, Sequence[Run]], None]


def draw_runs(runs: Sequence[Run], path: Path) -> None:
    """Write the picture; its format is what the name's end says."""
    rows = _rows(runs)
    with rc_context(STYLE | {"axes.grid": True}):
        figure = Figure(
            figsize=(11, 1 + 2.1 * sum(row.height for row in rows)), layout="constrained"
        )
        axes = figure.subplots(
            len(rows),
            2,
            sharex="col",
            sharey="row",
            squeeze=False,
            height_ratios=[row.height for row in rows],
        )
        unit_seconds, unit = _time_unit(runs)
        for row, (by_samples, by_time) in zip(rows, axes, strict=True):
            _draw(by_samples, row, runs, lambda record: record["position"])
            _draw(by_time, row, runs, lambda record: record["elapsed_seconds"] / unit_seconds)
            by_samples.set_title(row.title)
            by_samples.set_ylabel(row.unit)
            row.scale(by_samples, runs)
        axes[-1][0].set_xlabel("samples seen, all ranks together")
        axes[-1][0].xaxis.set_major_formatter(EngFormatter(sep=""))
        axes[-1][1].set_xlabel(f"wall time of training, {unit}")
        for below in axes[-1]:
            below.set_xlim(left=0)
        _draw_legend(figure, runs)
        try:
            figure.savefig(path, dpi=150)
        except OSError as error:
            raise DataError(f"{path} can't be written ({error.strerror}).") from error


def _rows(runs: Sequence[Run]) -> list[Row]:
    score = next((run.score for run in runs if run.score), None)
    rows = [
        Row(
            title=loss_finding(runs),
            unit="loss",
            interval="loss",
            evaluation="loss",
            height=1.5,
            scale=_loss_scale,
        ),
        Row(
            title=score_finding(runs),
            unit=f"validation {METRIC_NAMES[score][0]}" if score else "",
            evaluation=score,
            height=1.5,
            scale=_score_scale,
        ),
        Row(
            title=learning_rate_finding(runs),
            unit="learning rate",
            interval="learning_rate",
            height=0.8,
            scale=_from_zero,
        ),
        Row(
            title=rate_finding(runs),
            unit="images/s",
            interval="images_per_second",
            scale=_from_zero,
        ),
        Row(
            title=wait_finding(runs),
            unit="waiting for data",
            interval="data_share",
            height=0.8,
            scale=_share_scale,
        ),
    ]
    return [row for row in rows if row.interval or row.evaluation]


def _draw(axes: Any, row: Row, runs: Sequence[Run], x: Callable[[Record], float]) -> None:
    for number, run in enumerate(runs):
        look = _look(number)
        if row.interval:
            points = thinned(run.intervals)
            axes.plot([x(p) for p in points], [p[row.interval] for p in points], **look)
        if row.evaluation:
            found = [record for record in run.evaluations if row.evaluation in record]
            values = [record[row.evaluation] for record in found]
            width = 0.6 if row.interval else 1.6
            axes.plot([x(r) for r in found], values, "o", markersize=4, linewidth=width, **look)
        for record in run.restarts:
            axes.axvline(x(record), color=look["color"], **RESTART)


def _look(number: int) -> dict[str, Any]:
    line = LINES[number // len(CYCLE) % len(LINES)]
    return {"color": CYCLE[number % len(CYCLE)], "linestyle": line}


def _draw_legend(figure: Figure, runs: Sequence[Run]) -> None:
    handles = [Line2D([], [], label=run.name, **_look(number)) for number, run in enumerate(runs)]
    if any(run.evaluations for run in runs):
        dot: Any = {"marker": "o", "markersize": 4, "linewidth": 0.6}
        handles.append(Line2D([], [], label="validation", color=GRAY, **dot))
    if any(run.restarts for run in runs):
        handles.append(Line2D([], [], label="stopped and resumed", color=GRAY, **RESTART))
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=5,
        frameon=False,
        title=headline(runs),
        title_fontproperties={"size": 13, "weight": "bold"},
        alignment="left",
    )


def _time_unit(runs: Sequence[Run]) -> tuple[float, str]:
    longest = max(run.summary.elapsed_seconds for run in runs)
    if longest < 180:
        return 1.0, "seconds"
    return (60.0, "minutes") if longest < 3 * 3600 else (3600.0, "hours")


def _from_zero(axes: Any, runs: Sequence[Run]) -> None:
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _share_scale(axes: Any, runs: Sequence[Run]) -> None:
    # A scale that fits 0.1 % would make it look like a lot.
    axes.set_ylim(0, min(1.0, max(0.1, 1.05 * axes.get_ylim()[1])))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _score_scale(axes: Any, runs: Sequence[Run]) -> None:
    if any(run.score not in (None, "r2") for run in runs):
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _loss_scale(axes: Any, runs: Sequence[Run]) -> None:
    low, high = axes.dataLim.intervaly
    if 0 < low < high / 10:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("loss (log scale)")
