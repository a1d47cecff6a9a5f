"""Figure of several runs: a row per quantity, against samples and against wall time."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

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

from pipeline.chart_fonts import save_figure
from pipeline.chart_style import CYCLE, GRAY, STYLE
from pipeline.errors import DataError
from trainer.plotting import curves
from trainer.plotting.curves import Run, learning_rate_finding
from trainer.run.metrics_reader import Record
from trainer.tasks.metric_names import METRIC_NAMES

LINE_STYLES = ("-", "--", ":", "-.")  # the next one each time that the colors repeat
DOT_STYLE: Any = {"marker": "o", "markersize": 4, "linewidth": 0.6}
RESTART_STYLE: Any = {"linewidth": 1, "linestyle": (0, (1, 2))}


class Row(NamedTuple):
    """A quantity: a field of training records, of evaluation records, or of both."""

    find_title: Callable[[Sequence[Run]], str]
    label: str
    interval_field: str | None
    evaluation_field: str | None
    height: float
    set_scale: Callable[[Any], None]


def draw_runs(runs: Sequence[Run], path: Path) -> None:
    """Write the figure in the format of the suffix of `path`.

    Raises ``DataError`` if it cannot be written.
    """
    rows = _rows(runs)
    heights = [row.height for row in rows]
    with rc_context(STYLE | {"axes.grid": True}):
        figure = Figure(figsize=(11, 1 + 2.1 * sum(heights)), layout="constrained")
        shared: Any = {"sharex": "col", "sharey": "row", "height_ratios": heights}
        axes = figure.subplots(len(rows), 2, **shared)
        unit_seconds, unit = time_unit(runs)
        for row, (by_samples, by_time) in zip(rows, axes, strict=True):
            _draw(by_samples, row, runs, lambda record: record["position"])
            _draw(by_time, row, runs, lambda record: record["elapsed_seconds"] / unit_seconds)
            by_samples.set_title(row.find_title(runs))
            by_samples.set_ylabel(row.label)
            row.set_scale(by_samples)
        axes[-1][0].set_xlabel("samples of all ranks")
        axes[-1][0].xaxis.set_major_formatter(EngFormatter(sep=""))
        axes[-1][1].set_xlabel(f"wall time of training, {unit}")
        for bottom in axes[-1]:
            bottom.set_xlim(left=0)
        _draw_legend(figure, runs)
        try:
            save_figure(figure, path, dpi=150)
        except OSError as error:
            raise DataError(
                f"Cannot write {path} ({error.strerror}): give another --out."
            ) from error


def _rows(runs: Sequence[Run]) -> list[Row]:
    metric = curves.first_score(runs)
    scale = partial(scale_score, metric=str(metric))
    rows = [
        Row(curves.loss_finding, "loss", "loss", "loss", 1.5, _scale_loss),
        Row(curves.score_finding, "", None, metric, 1.5, scale),
        Row(learning_rate_finding, "learning rate", "learning_rate", None, 0.8, _scale_from_zero),
        Row(curves.rate_finding, "images/s", "images_per_second", None, 1.0, _scale_from_zero),
        Row(curves.wait_finding, "waiting for data", "data_share", None, 0.8, _scale_share),
    ]
    return [row for row in rows if row.interval_field or row.evaluation_field]


def _draw(axes: Any, row: Row, runs: Sequence[Run], x: Callable[[Record], float]) -> None:
    for number, run in enumerate(runs):
        style = curve_style(number)
        if field := row.interval_field:
            points = curves.thin_out(run.intervals)
            axes.plot(list(map(x, points)), [point[field] for point in points], **style)
        if field := row.evaluation_field:
            points = [record for record in run.evaluations if field in record]
            dots = {**DOT_STYLE, **style, "linewidth": 0.6 if row.interval_field else 1.6}
            axes.plot(list(map(x, points)), [point[field] for point in points], **dots)
        for record in run.restarts:
            axes.axvline(x(record), color=style["color"], **RESTART_STYLE)


def curve_style(number: int) -> dict[str, Any]:
    """Color and line of the run of that number."""
    line = LINE_STYLES[number // len(CYCLE) % len(LINE_STYLES)]
    return {"color": CYCLE[number % len(CYCLE)], "linestyle": line}


def _draw_legend(figure: Figure, runs: Sequence[Run]) -> None:
    handles = [Line2D([], [], label=run.name, **curve_style(n)) for n, run in enumerate(runs)]
    if any(run.evaluations for run in runs):
        handles.append(Line2D([], [], label="validation", color=GRAY, **DOT_STYLE))
    if any(run.restarts for run in runs):
        handles.append(Line2D([], [], label="stopped and resumed", color=GRAY, **RESTART_STYLE))
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=5,
        frameon=False,
        title=curves.headline(runs),
        title_fontproperties={"size": 13, "weight": "bold"},
        alignment="left",
    )


def time_unit(runs: Sequence[Run]) -> tuple[float, str]:
    """In seconds, and its name."""
    longest = max(run.summary.elapsed_seconds for run in runs)
    if longest < 180:
        return 1.0, "seconds"
    return (60.0, "minutes") if longest < 3 * 3600 else (3600.0, "hours")


def _scale_from_zero(axes: Any) -> None:
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _scale_share(axes: Any) -> None:
    # At least 10 %, so that a small share looks small.
    axes.set_ylim(0, min(1.0, max(0.1, 1.05 * axes.get_ylim()[1])))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def scale_score(axes: Any, metric: str) -> None:
    """The axis of validation scores: R2 has no limits."""
    axes.set_ylabel(f"validation {METRIC_NAMES[metric][0]}")
    if metric != "r2":
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _scale_loss(axes: Any) -> None:
    low, high = axes.dataLim.intervaly
    if 0 < low < high / 10:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("loss (log scale)")
