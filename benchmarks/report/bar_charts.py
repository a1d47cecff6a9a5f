"""Bar charts of rates, each bar with its interval and its figure."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import rcParams
from matplotlib.ticker import FuncFormatter, MaxNLocator

from benchmarks.loader.config import COLD, FULL, READ
from benchmarks.measuring.text import figure
from benchmarks.report.axes import Limits, error_bars
from benchmarks.report.headline import as_times, rates
from benchmarks.report.inputs import Inputs, Result
from benchmarks.report.panels import Panel
from pipeline.chart_style import BLUE, GREEN, ORANGE, SKY

BAR_INCHES, MARGIN_INCHES = 0.36, 0.85
RATE_COLORS = {"loader": BLUE, "model": ORANGE, "training": GREEN}


def rates_panel(inputs: Inputs) -> Panel | None:
    """Loader, model, and both together; None unless loader and model were measured."""
    measured = rates(inputs)
    if len(measured) < 2:
        return None
    slowest, fastest = sorted({"loader", "model"} & measured.keys(), key=measured.__getitem__)
    times = as_times(measured[fastest] / measured[slowest])
    title = (
        f"The {slowest} gives {figure(measured[slowest])} images/s, the {fastest} {times} as many"
    )
    return bars_panel("rates", title, measured, colors=[RATE_COLORS[name] for name in measured])


def stages_panel(result: Result) -> Panel:
    """The stages of the loader, with files in the page cache and, where measured, cold ones."""
    shares: Mapping[str, float] = result.bundle["share_of_time"]
    slowest = max(shares, key=shares.__getitem__)
    stage = "read" if slowest == READ else slowest.removeprefix("+ ")
    return result_panel(
        result,
        name="loader",
        title=f"The slowest stage of the loader is {stage}, {shares[slowest]:.0%} of the time; the "
        f"full loader gives {figure(result.median[FULL])} images/s",
        colors=[SKY if name in COLD.values() else BLUE for name in result.median],
    )


def compute_panel(result: Result) -> Panel:
    best = max(result.median, key=result.median.__getitem__)
    mfu = result.bundle["figures"][best]["mfu"]
    share = "" if mfu is None else f", {mfu:.0%} of the device's peak"
    model, rate = result.bundle["settings"]["model"], figure(result.median[best])
    title = f"{model} trains at up to {rate} images/s, with {best}{share}"
    return result_panel(result, name="compute", title=title, colors=ORANGE)


def result_panel(
    result: Result, *, name: str, title: str | None = None, colors: str | Sequence[str] = BLUE
) -> Panel:
    """All rows of any result; the title is by default its finding."""
    return bars_panel(
        name,
        title or str(result.bundle["finding"]).removesuffix("."),
        result.median,
        limits=[result.span(row) for row in result.median],
        colors=colors,
        unit=result.bundle["unit"],
    )


def bars_panel(
    name: str,
    title: str,
    rows: Mapping[str, float],
    *,
    colors: str | Sequence[str],
    limits: Limits | None = None,
    unit: str = "images/s",
) -> Panel:
    """A horizontal bar from 0 for each of `rows`, in `unit`, with error bars to its `limits`."""
    names, values = list(rows), list(rows.values())

    def draw(axes: Any) -> None:
        bars = axes.barh(
            names,
            values,
            color=colors,
            height=0.68,
            xerr=error_bars(values, limits),
            error_kw={"ecolor": rcParams["text.color"], "elinewidth": 1, "capsize": 3},
        )
        axes.bar_label(bars, list(map(figure, values)), padding=5)
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.18 * max(*values, *(high for _, high in limits or ())))
        axes.set_xlabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)

    return Panel(
        name=name,
        title=title,
        description=f"Bars, {unit}: "
        + ", ".join(f"{row} {figure(value)}" for row, value in rows.items()),
        draw=draw,
        height_inches=MARGIN_INCHES + BAR_INCHES * len(rows),
    )
