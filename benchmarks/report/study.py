"""The section of a study: its questions and answers, and its configurations over their seeds."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from matplotlib.ticker import MaxNLocator, PercentFormatter

from benchmarks.measuring.text import counted, figure
from benchmarks.report.axes import Curve, efficiency_panel, speed_up_panel, stacked_bars
from benchmarks.report.bar_charts import BAR_INCHES, MARGIN_INCHES
from benchmarks.report.inputs import Result
from benchmarks.report.page import Section, Table, build_table
from benchmarks.report.panels import Panel
from benchmarks.report.tables import UNKNOWN, training_columns
from pipeline.chart_style import BLUE, CYCLE, GRAY, ORANGE, PURPLE
from trainer.run.duration import clock
from trainer.tasks.scores import METRIC_NAMES

# An entry of "configurations" in a result of bench-study: ``Configuration.to_dict``.
Record = Mapping[str, Any]
Frameworks = Mapping[str, Sequence[Record]]

TIME_COLORS = {
    "compute and communication": ORANGE,
    "waiting for data": BLUE,
    "start-up": GRAY,
    "evaluation and checkpoints": PURPLE,
}


def study_section(result: Result) -> Section:
    records: Sequence[Record] = result.bundle["configurations"]
    frameworks: dict[str, list[Record]] = {}
    for record in records:
        frameworks.setdefault(record["framework"], []).append(record)
    has_curves = any(len(sizes) > 1 for sizes in frameworks.values())
    has_scores = any(_values(record, "score") for record in records)
    return Section(
        title="Questions of the study",
        panels=[
            *([_speed_up(frameworks), _efficiency(frameworks)] if has_curves else []),
            _time(records),
            *([_scores(result)] if has_scores else []),
        ],
        notes=[f"{question} {text}" for question, text in result.bundle["answers"].items()],
        tables=[
            ("Configurations: median of the seeds (lowest to highest)", _configurations(result)),
            ("Trainings", _trainings(result)),
        ],
    )


def _values(record: Record, field: str) -> list[float]:
    """Of each seed that has it."""
    return [seed[field] for seed in record["seeds"] if seed[field] is not None]


def _median(record: Record, field: str) -> float:
    return statistics.median(_values(record, field))


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
        f"{name} {records[-1]['efficiency']:.0%} on {counted(records[-1]['ranks'], 'rank')}"
        for name, records in frameworks.items()
    )
    title = f"Efficiency of trainings: {efficiencies}"
    return efficiency_panel("study-efficiency", title, _curves(frameworks, per_rank=True))


def _curves(frameworks: Frameworks, *, per_rank: bool) -> list[Curve]:
    """The median of the seeds over the smallest number of ranks, from the lowest to the highest."""
    curves = []
    for number, (name, records) in enumerate(frameworks.items()):
        first, field = records[0], "images_per_second"
        base = _median(first, field)
        bases = [base * (r["ranks"] / first["ranks"] if per_rank else 1) for r in records]
        rates = [
            [rate / base for rate in _values(record, field)]
            for record, base in zip(records, bases, strict=True)
        ]
        curves.append(
            Curve(
                label=name,
                ranks=[record["ranks"] for record in records],
                values=list(map(statistics.median, rates)),
                limits=[(min(seeds), max(seeds)) for seeds in rates],
                style={"marker": "os^"[number % 3], "color": CYCLE[number % len(CYCLE)]},
            )
        )
    return curves


def _time(records: Sequence[Record]) -> Panel:
    """A bar for each configuration, of the median of each part."""
    names, totals = [r["name"] for r in records], [_median(r, "seconds") for r in records]
    fields = ("compute_seconds", "data_seconds", "start_seconds")
    seconds = [[_median(record, field) for record in records] for field in fields]
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
        height_inches=MARGIN_INCHES + 0.6 + 1.2 * BAR_INCHES * len(records),
    )


def _scores(result: Result) -> Panel:
    """A point for each seed, a line at the median."""
    name, style = METRIC_NAMES[result.bundle["metric"]]
    records = [r for r in result.bundle["configurations"] if _values(r, "score")]
    scores = {record["name"]: _values(record, "score") for record in records}
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


def _configurations(result: Result) -> Table:
    name, style = METRIC_NAMES[result.bundle["metric"]]

    def column(field: str, show: Callable[[float], str]) -> Callable[[Record], str]:
        return lambda record: median_and_range(_values(record, field), show)

    return build_table(
        result.bundle["configurations"],
        {
            "": itemgetter("name"),
            "efficiency": lambda record: f"{record['efficiency']:.0%}",
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


def _trainings(result: Result) -> Table:
    return build_table(
        [seed for record in result.bundle["configurations"] for seed in record["seeds"]],
        {
            "": itemgetter("cell"),
            **training_columns(result.bundle["metric"], final="score"),
            "starts": lambda seed: str(seed["starts"]),
        },
    )
