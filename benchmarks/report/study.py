"""The section of a study: its questions and answers, and its configurations over their seeds."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any

from matplotlib.ticker import MaxNLocator, PercentFormatter

from benchmarks.measuring.text import figure
from benchmarks.report.axes import Curve, efficiency_panel, speed_up_panel, stacked_bars
from benchmarks.report.bar_charts import BAR_INCHES, MARGIN_INCHES
from benchmarks.report.inputs import Result
from benchmarks.report.learning_curve import learning_curve_panel
from benchmarks.report.page import Section, Table, build_table
from benchmarks.report.panels import Panel
from benchmarks.report.study_record import Configuration, by_framework, read_configurations
from benchmarks.report.tables import UNKNOWN, training_columns
from pipeline.chart_style import BLUE, CYCLE, GRAY, ORANGE, PURPLE
from pipeline.duration_text import clock
from pipeline.text import plural
from trainer.tasks.metric_names import METRIC_NAMES

Frameworks = Mapping[str, Sequence[Configuration]]

TIME_COLORS = {
    "compute and communication": ORANGE,
    "waiting for data": BLUE,
    "start-up": GRAY,
    "evaluation and checkpoints": PURPLE,
}


def study_section(result: Result) -> Section:
    configurations, metric = read_configurations(result.bundle), result.bundle["metric"]
    frameworks, medians = by_framework(configurations), _medians(configurations, metric)
    has_parts = any(c.samples is not None for c in configurations)
    has_curves = not has_parts and any(len(sizes) > 1 for sizes in frameworks.values())
    scored, finding = [c for c in configurations if c.values("score")], result.bundle["finding"]
    return Section(
        title="Questions of the study",
        panels=[
            *(
                [learning_curve_panel(scored, metric, title=finding)]
                if has_parts and scored
                else []
            ),
            *([_speed_up(frameworks), _efficiency(frameworks)] if has_curves else []),
            _time(configurations),
            *([_scores(scored, metric)] if scored and not has_parts else []),
        ],
        notes=[f"{question} {text}" for question, text in result.bundle["answers"].items()],
        tables=[
            ("Configurations: median of the seeds (lowest to highest)", medians),
            ("Trainings", _trainings(configurations, metric)),
        ],
    )


def _speed_up(frameworks: Frameworks) -> Panel:
    """images/s over those of the smallest number of ranks."""
    curves = _curves(frameworks, per_rank=False)
    times = ", ".join(
        f"{curve.label} {curve.values[-1]:.2f} times on {curve.ranks[-1]} ranks"
        for curve in curves
        if len(curve.ranks) > 1
    )
    title = f"Speed-up of trainings with a constant global batch size: {times}"
    return speed_up_panel("study-speed-up", title, curves)


def _efficiency(frameworks: Frameworks) -> Panel:
    efficiencies = ", ".join(
        f"{name} {sizes[-1].efficiency:.0%} on {plural(sizes[-1].ranks, 'rank')}"
        for name, sizes in frameworks.items()
    )
    title = f"Efficiency of trainings: {efficiencies}"
    return efficiency_panel("study-efficiency", title, _curves(frameworks, per_rank=True))


def _curves(frameworks: Frameworks, *, per_rank: bool) -> list[Curve]:
    """The median of the seeds over the smallest number of ranks, from the lowest to the highest."""
    curves = []
    for number, (name, sizes) in enumerate(frameworks.items()):
        first, rates = sizes[0], []
        for size in sizes:
            base = first.median("images_per_second")
            base *= size.ranks / first.ranks if per_rank else 1
            rates.append([rate / base for rate in size.values("images_per_second")])
        curves.append(
            Curve(
                label=name,
                ranks=[size.ranks for size in sizes],
                values=list(map(statistics.median, rates)),
                limits=[(min(seeds), max(seeds)) for seeds in rates],
                style={"marker": "os^"[number % 3], "color": CYCLE[number % len(CYCLE)]},
            )
        )
    return curves


def _time(configurations: Sequence[Configuration]) -> Panel:
    """A bar for each configuration, of the median of each part."""
    names, totals = [c.name for c in configurations], [c.median("seconds") for c in configurations]
    fields = ("compute_seconds", "data_seconds", "start_seconds")
    seconds = [[c.median(field) for c in configurations] for field in fields]
    rest = [max(0.0, total - sum(p)) for total, *p in zip(totals, *seconds, strict=True)]
    parts = dict(zip(TIME_COLORS, (*seconds, rest), strict=True))

    def draw(axes: Any) -> None:
        bars = stacked_bars(axes, names, parts, TIME_COLORS, "wall time of a training, s")
        axes.bar_label(bars, list(map(clock, totals)), padding=5)
        axes.set_xlim(0, 1.15 * max(totals))

    fastest = min(range(len(totals)), key=totals.__getitem__)
    return Panel(
        name="study-time",
        title=f"The fastest configuration, {names[fastest]}, trains in {clock(totals[fastest])}",
        description=f"Bars of the wall time of each configuration: {', '.join(parts)}",
        draw=draw,
        height_inches=MARGIN_INCHES + 0.6 + 1.2 * BAR_INCHES * len(names),
    )


def _scores(configurations: Sequence[Configuration], metric: str) -> Panel:
    """A point for each seed, a line at the median."""
    name, style = METRIC_NAMES[metric]
    scores = {c.name: c.values("score") for c in configurations}
    all_scores = [score for values in scores.values() for score in values]

    def draw(axes: Any) -> None:
        for row, values in enumerate(scores.values()):
            axes.plot(values, [row] * len(values), "o", color=BLUE, alpha=0.6)
            axes.plot([statistics.median(values)], [row], "|", color=ORANGE, ms=16, mew=2.5)
        axes.set_yticks(range(len(scores)), list(scores))
        axes.set_ylim(len(scores) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        if style.endswith("%"):
            axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel(f"final {name}: a point for each seed, a line at the median")
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)

    return Panel(
        name="study-scores",
        title=f"Final {name}: {min(all_scores):{style}} to {max(all_scores):{style}}",
        description=f"Points of the final {name} of each training, by configuration",
        draw=draw,
        height_inches=MARGIN_INCHES + 1.2 * BAR_INCHES * len(scores),
    )


def _medians(configurations: Sequence[Configuration], metric: str) -> Table:
    name, style = METRIC_NAMES[metric]

    def column(field: str, show: Callable[[float], str]) -> Callable[[Configuration], str]:
        return lambda configuration: median_and_range(configuration.values(field), show)

    has_parts = any(c.samples is not None for c in configurations)
    efficiency = {"efficiency": lambda configuration: f"{configuration.efficiency:.0%}"}
    return build_table(
        configurations,
        {
            "": attrgetter("name"),
            **({} if has_parts else efficiency),
            "wall time": column("seconds", clock),
            "epochs": column("epochs", "{:.2f}".format),
            "images/s": column("images_per_second", figure),
            "waiting for data, s": column("data_seconds", "{:.1f}".format),
            "start-up, s": column("start_seconds", "{:.1f}".format),
            f"final {name}": column("score", lambda value: format(value, style)),
        },
    )


def median_and_range(values: Sequence[float], show: Callable[[float], str]) -> str:
    """0.5 (0.4 to 0.6), or 0.5 without a range, or - without values."""
    if not values:
        return UNKNOWN
    median, low, high = map(show, (statistics.median(values), min(values), max(values)))
    return median if low == high else f"{median} ({low} to {high})"


def _trainings(configurations: Sequence[Configuration], metric: str) -> Table:
    return build_table(
        [vars(seed) for configuration in configurations for seed in configuration.seeds],
        {
            "": itemgetter("cell"),
            **training_columns(metric, final="score"),
            "starts": lambda seed: str(seed["starts"]),
        },
    )
