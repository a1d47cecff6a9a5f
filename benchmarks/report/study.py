"""A study: its questions and answers, and what each configuration came to, over its seeds."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.ticker import PercentFormatter

from benchmarks.measuring.result_file import STUDY
from benchmarks.measuring.text import counted, figure
from benchmarks.report.axes import IDEAL, efficiency_axes, ranks_axis
from benchmarks.report.bar_charts import BAR_INCHES, MARGIN_INCHES
from benchmarks.report.inputs import Inputs, Result
from benchmarks.report.page import Section, Table
from benchmarks.report.panels import Panel
from benchmarks.report.tables import UNKNOWN
from pipeline.chart_style import BLUE, CYCLE, GRAY, ORANGE, PURPLE
from trainer.run.duration import clock
from trainer.tasks.scores import METRIC_NAMES

# One of a bundle's "configurations" (``benchmarks.study.configurations.Group.as_record``).
Configuration = Mapping[str, Any]
Frameworks = Mapping[str, Sequence[Configuration]]
Style = Callable[[float], str]


def study_section(inputs: Inputs) -> Section | None:
    result = inputs.last(STUDY)
    if result is None:
        return None
    found: Sequence[Configuration] = result.bundle["configurations"]
    frameworks = _by_framework(found)
    curves = any(len(sizes) > 1 for sizes in frameworks.values())
    scored = any(_known(each, "score") for each in found)
    return Section(
        title="The questions of the study",
        panels=(
            *([_speed_up(frameworks), _efficiency(frameworks)] if curves else []),
            _time(found),
            *([_scores(result)] if scored else []),
        ),
        notes=tuple(f"{question} {said}" for question, said in result.bundle["answers"].items()),
        tables=(
            (
                "Configurations: the median of the seeds, with the lowest and highest",
                _table(result),
            ),
            ("Trainings", _trainings(result)),
        ),
    )


def _by_framework(found: Sequence[Configuration]) -> dict[str, list[Configuration]]:
    by_framework: dict[str, list[Configuration]] = {}
    for each in found:
        by_framework.setdefault(each["framework"], []).append(each)
    return by_framework


def _known(configuration: Configuration, name: str) -> list[float]:
    """Of each seed that has it."""
    return [seed[name] for seed in configuration["seeds"] if seed[name] is not None]


def _speed_up(frameworks: Frameworks) -> Panel:
    """images/s over those of the smallest size."""
    ranks = _ranks(frameworks)

    def draw(axes: Any) -> None:
        axes.plot(ranks, [size / ranks[0] for size in ranks], label="ideal", **IDEAL)
        _curves(axes, frameworks, per_rank=False)
        ranks_axis(axes, ranks)
        axes.set_ylabel(f"speed-up over {counted(ranks[0], 'rank')}")
        axes.legend(loc="upper left")

    return Panel(
        name="study-speed-up",
        title=f"Whole trainings at one global batch: {_ends(frameworks, '{:.2f} times'.format)}",
        shows="Speed-up of whole trainings against ranks, by framework, beside the ideal",
        draw=draw,
    )


def _efficiency(frameworks: Frameworks) -> Panel:
    ranks = _ranks(frameworks)

    def draw(axes: Any) -> None:
        _curves(axes, frameworks, per_rank=True)
        efficiency_axes(axes, ranks, "scaling efficiency")

    efficiencies = ", ".join(
        f"{name} {sizes[-1]['efficiency']:.0%}" for name, sizes in frameworks.items()
    )
    return Panel(
        name="study-efficiency",
        title=f"Efficiency of whole trainings at {counted(ranks[-1], 'rank')}: {efficiencies}",
        shows="Scaling efficiency of whole trainings against ranks, by framework",
        draw=draw,
    )


def _ranks(frameworks: Frameworks) -> list[int]:
    return sorted({each["ranks"] for sizes in frameworks.values() for each in sizes})


def _ends(frameworks: Frameworks, style: Style) -> str:
    """Of the largest sizes beside the smallest."""
    return ", ".join(
        f"{name} {style(_rate(sizes[-1]) / _rate(sizes[0]))} on {sizes[-1]['ranks']} ranks"
        for name, sizes in frameworks.items()
        if len(sizes) > 1
    )


def _rate(configuration: Configuration) -> float:
    return statistics.median(_known(configuration, "images_per_second"))


def _curves(axes: Any, frameworks: Frameworks, *, per_rank: bool) -> None:
    """The median of the seeds, with the lowest and the highest, over the smallest size."""
    for number, (name, sizes) in enumerate(frameworks.items()):
        scales = [
            _rate(sizes[0]) * (each["ranks"] / sizes[0]["ranks"] if per_rank else 1)
            for each in sizes
        ]
        rates = [_known(each, "images_per_second") for each in sizes]
        middle = [statistics.median(rate) / by for rate, by in zip(rates, scales, strict=True)]
        low = [min(rate) / by for rate, by in zip(rates, scales, strict=True)]
        high = [max(rate) / by for rate, by in zip(rates, scales, strict=True)]
        errors = [
            [value - end for value, end in zip(middle, low, strict=True)],
            [end - value for value, end in zip(middle, high, strict=True)],
        ]
        axes.errorbar(
            [each["ranks"] for each in sizes],
            middle,
            yerr=errors,
            capsize=3,
            marker="os^"[number % 3],
            color=CYCLE[number % len(CYCLE)],
            label=name,
        )


def _time(found: Sequence[Configuration]) -> Panel:
    """A bar for each configuration, of the median of each part."""
    parts = {
        "computing, exchanging gradients": ("compute_seconds", ORANGE),
        "waiting for data": ("data_seconds", BLUE),
        "first steps": ("start_seconds", GRAY),
    }
    totals = [statistics.median(_known(each, "seconds")) for each in found]

    def draw(axes: Any) -> None:
        names, left = [each["name"] for each in found], [0.0] * len(found)
        for part, (field, color) in parts.items():
            widths = [statistics.median(_known(each, field)) for each in found]
            axes.barh(names, widths, left=left, color=color, label=part, height=0.62)
            left = [start + width for start, width in zip(left, widths, strict=True)]
        rest = [max(0.0, whole - start) for whole, start in zip(totals, left, strict=True)]
        label = "evaluations, checkpoints"
        axes.barh(names, rest, left=left, color=PURPLE, label=label, height=0.62)
        for place, whole in enumerate(totals):
            where = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}
            axes.annotate(clock(whole), (whole, place), **where)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.15 * max(totals))
        axes.set_xlabel("wall time of a training, s")
        axes.tick_params(axis="y", length=0)
        axes.figure.legend(loc="outside lower left", ncols=2)

    fastest = min(range(len(found)), key=totals.__getitem__)
    return Panel(
        name="study-time",
        title=f"The fastest, {found[fastest]['name']}, takes {clock(totals[fastest])}; where the "
        f"time of each goes",
        shows="Bars of the wall time of each configuration, by what it went to",
        draw=draw,
        height_inches=MARGIN_INCHES + 0.6 + 1.2 * BAR_INCHES * len(found),
    )


def _scores(result: Result) -> Panel:
    """A point for each seed, a line at the median."""
    name, style = METRIC_NAMES[result.bundle["metric"]]
    found = [each for each in result.bundle["configurations"] if _known(each, "score")]
    scores = [_known(each, "score") for each in found]
    every = [score for each in scores for score in each]

    def draw(axes: Any) -> None:
        for place, each in enumerate(scores):
            axes.plot(each, [place] * len(each), "o", color=BLUE, alpha=0.6)
            axes.plot([statistics.median(each)], [place], "|", color=ORANGE, ms=16, mew=2.5)
        axes.set_yticks(range(len(found)), [each["name"] for each in found])
        axes.set_ylim(len(found) - 0.5, -0.5)
        if style.endswith("%"):
            axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel(f"{name} at the end: a point a seed, a line at the median")
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)

    return Panel(
        name="study-scores",
        title=f"{name[0].upper()}{name[1:]} at the end is {min(every):{style}} to "
        f"{max(every):{style}}",
        shows=f"Points of the {name} of each training, by configuration",
        draw=draw,
        height_inches=MARGIN_INCHES + 1.2 * BAR_INCHES * len(found),
    )


def _table(result: Result) -> Table:
    name, style = METRIC_NAMES[result.bundle["metric"]]
    columns: Mapping[str, tuple[str, Style]] = {
        "wall time": ("seconds", clock),
        "epochs": ("epochs", "{:.2f}".format),
        "images/s": ("images_per_second", figure),
        "waits for data, s": ("data_seconds", "{:.1f}".format),
        "first steps, s": ("start_seconds", "{:.1f}".format),
        f"final {name}": ("score", lambda value: format(value, style)),
    }
    return Table(
        headers=("", "efficiency", *columns),
        rows=tuple(
            (
                each["name"],
                f"{each['efficiency']:.0%}",
                *(_spread(_known(each, field), shown) for field, shown in columns.values()),
            )
            for each in result.bundle["configurations"]
        ),
    )


def _spread(values: Sequence[float], style: Style) -> str:
    if not values:
        return UNKNOWN
    middle, low, high = map(style, (statistics.median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def _trainings(result: Result) -> Table:
    name, style = METRIC_NAMES[result.bundle["metric"]]
    seeds = [seed for each in result.bundle["configurations"] for seed in each["seeds"]]
    return Table(
        headers=("", "wall time", "epochs", "images/s", f"final {name}", f"best {name}", "starts"),
        rows=tuple(
            (
                seed["cell"],
                clock(seed["seconds"]),
                f"{seed['epochs']:.2f}",
                figure(seed["images_per_second"]),
                *(
                    UNKNOWN if seed[of] is None else f"{seed[of]:{style}}"
                    for of in ("score", "best")
                ),
                str(seed["starts"]),
            )
            for seed in seeds
        ),
    )
