"""The learning curve of a study: the final score by the number of training samples."""

import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.ticker import NullLocator, PercentFormatter

from benchmarks.report.panels import Panel
from benchmarks.report.study_record import Configuration, by_framework
from pipeline.chart_style import CYCLE
from trainer.tasks.metric_names import METRIC_NAMES

# Labels of parts at a smaller ratio would overlap.
_LABELED_RATIO = 1.3


def learning_curve_panel(
    configurations: Sequence[Configuration], metric: str, *, title: str
) -> Panel:
    """A dash for each seed, and a line through the medians of each framework."""
    name, style = METRIC_NAMES[metric]
    frameworks = by_framework(configurations)

    def draw(axes: Any) -> None:
        for number, (framework, parts) in enumerate(frameworks.items()):
            look: Any = {"color": CYCLE[number % len(CYCLE)], "marker": "os^"[number % 3]}
            sizes = [part.samples for part in parts]
            scores = [part.values("score") for part in parts]
            axes.plot(sizes, [*map(statistics.median, scores)], label=framework, **look)
            for size, values in zip(sizes, scores, strict=True):
                axes.plot([size] * len(values), values, "_", color=look["color"], ms=11, mew=1.6)
        _size_axis(axes, sorted({c.samples or 1 for c in configurations}))
        if style.endswith("%"):
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_ylabel(f"final {name}")
        axes.grid(True)
        if len(frameworks) > 1:
            axes.legend(loc="lower right")

    return Panel(
        name="learning-curve",
        title=title,
        description=f"Final {name} by the number of training samples: a dash for each seed, a line "
        f"through the medians",
        draw=draw,
    )


def _size_axis(axes: Any, sizes: Sequence[int]) -> None:
    """A log axis with a tick at each size, labeled where there is room."""
    labels: list[str] = []
    labeled = 0
    for size in sizes:
        has_room = size >= _LABELED_RATIO * labeled
        labels.append(f"{size:,}" if has_room else "")
        labeled = size if has_room else labeled
    axes.set_xscale("log")
    axes.set_xticks(sizes, labels)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("training samples (a dash for each seed, a line through the medians)")
