"""Bars of rates: each with its interval and its figure."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import rcParams
from matplotlib.ticker import FuncFormatter, MaxNLocator

from benchmarks.loader.config import COLD, FULL, READ, STAGES
from benchmarks.measuring.result_file import BY_STAGE, COMPUTE
from benchmarks.measuring.text import figure
from benchmarks.report.headline import as_times, rates
from benchmarks.report.inputs import Inputs, Result
from benchmarks.report.panels import Draw, Panel
from pipeline.chart_style import BLUE, GREEN, ORANGE, SKY

BAR_INCHES, MARGIN_INCHES = 0.36, 0.85


def rates_panel(inputs: Inputs) -> Panel | None:
    """Loader, model, and both together, where there are two of them at least."""
    known = rates(inputs).known()
    if len(known) < 2:
        return None
    slowest = min(known, key=lambda name: known[name] if name != "training" else float("inf"))
    other = max(known, key=lambda name: known[name] if name != "training" else 0.0)
    title = f"The {slowest} gives {figure(known[slowest])} images/s"
    if other != slowest:
        title += f", the {other} {as_times(known[other] / known[slowest])} as many"
    colors = {"loader alone": BLUE, "model alone": ORANGE, "training": GREEN}
    return Panel(
        name="rates",
        title=title,
        shows="Bars of images per second: " + _listed(known),
        draw=bars(known, colors=[colors[name] for name in known]),
        height_inches=height(len(known)),
    )


def rungs_panel(inputs: Inputs) -> Panel | None:
    """The loader from its first stage on, warm and cold."""
    result = inputs.last(BY_STAGE)
    if result is None:
        return None
    rows = [name for name in (*STAGES, *COLD.values()) if name in result.median]
    shares: Mapping[str, float] = result.bundle["share_of_time"]
    slowest = max(shares, key=lambda name: shares[name])
    stage = "reading" if slowest == READ else slowest.removeprefix("+ ")
    median = result.median
    return Panel(
        name="loader",
        title=f"The loader's slowest stage is {stage}: {shares[slowest]:.0%} of its time; in full "
        f"it gives {figure(median[FULL])} images/s",
        shows="Bars of the loader's images per second by stage: "
        + _listed({name: median[name] for name in rows}),
        draw=bars(
            {name: median[name] for name in rows},
            spans={name: result.span(name) for name in rows},
            colors=[SKY if name in COLD.values() else BLUE for name in rows],
        ),
        height_inches=height(len(rows)),
    )


def compute_panel(inputs: Inputs) -> Panel | None:
    result = inputs.last(COMPUTE)
    if result is None:
        return None
    best = max(result.median, key=lambda row: result.median[row])
    mfu = result.bundle["figures"][best]["mfu"]
    share = "" if mfu is None else f", {mfu:.0%} of the device's peak"
    return result_panel(
        result,
        name="compute",
        title=f"{result.bundle['settings']['model']} takes at most {figure(result.median[best])} "
        f"images/s, with {best}{share}",
        color=ORANGE,
    )


def result_panel(
    result: Result, *, name: str, title: str | None = None, color: str = BLUE
) -> Panel:
    """Whatever was measured, row by row; the title is by default the result's own finding."""
    median = result.median
    return Panel(
        name=name,
        title=title or str(result.bundle["finding"]).removesuffix("."),
        shows=f"Bars of {result.bundle['unit']}: {_listed(median)}",
        draw=bars(
            median,
            spans={row: result.span(row) for row in median},
            colors=[color] * len(median),
            unit=result.bundle["unit"],
        ),
        height_inches=height(len(median)),
    )


def bars(
    rows: Mapping[str, float],
    *,
    colors: Sequence[str],
    spans: Mapping[str, tuple[float, float]] | None = None,
    unit: str = "images/s",
) -> Draw:
    """Horizontal, from 0, the first one on top."""

    def draw(axes: Any) -> None:
        values = list(rows.values())
        axes.barh(range(len(rows)), values, color=colors, height=0.68)
        ends = list(values)
        if spans:
            edges = [spans[name] for name in rows]
            ends = [high for _, high in edges]
            errors = [
                [value - low for value, (low, _) in zip(values, edges, strict=True)],
                [high - value for value, (_, high) in zip(values, edges, strict=True)],
            ]
            ink = rcParams["text.color"]
            axes.errorbar(
                values,
                range(len(rows)),
                xerr=errors,
                fmt="none",
                ecolor=ink,
                elinewidth=1,
                capsize=3,
            )
        for place, (value, end) in enumerate(zip(values, ends, strict=True)):
            axes.annotate(
                figure(value), (end, place), xytext=(5, 0), textcoords="offset points", va="center"
            )
        axes.set_yticks(range(len(rows)), list(rows))
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.18 * max(ends))
        axes.set_xlabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)

    return draw


def height(rows: int) -> float:
    return MARGIN_INCHES + BAR_INCHES * rows


def _listed(rows: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {figure(value)}" for name, value in rows.items())
