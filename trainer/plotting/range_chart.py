"""The chart of a learning-rate range test."""

from pathlib import Path

import numpy as np

from pipeline.chart_style import BLUE, GRAY, RED, STYLE
from trainer.files import replaced
from trainer.optim.range_test import RULE, RangeTest


def draw_range_test(test: RangeTest, path: Path, *, option_per_rate: float, title: str) -> None:
    """Write a PNG of the losses over the rates.

    Args:
        option_per_rate: value of --learning-rate at a rate of 1.

    Raises ``DataError`` if it can't be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from pipeline.chart_fonts import save_figure

    options = test.rates * option_per_rate
    with rc_context(STYLE | {"axes.grid": True}), replaced(path) as partial:
        figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
        axes = figure.subplots()
        axes.plot(options, test.losses, ".", color=GRAY, label="loss of each step")
        if len(options):
            axes.plot(options, test.smoothed, color=BLUE, label="smoothed")
            # A loss that diverges would press the rest into a line.
            axes.set_ylim(*_limits(test))
        if test.suggested is not None:
            axes.axvline(test.suggested * option_per_rate, color=RED, label=f"suggested: {RULE}")
        axes.set(xscale="log", xlabel="--learning-rate (log scale)", ylabel="training loss")
        axes.set_title(title)
        axes.xaxis.set_major_formatter("{x:g}")
        # Below the axes, where it hides no loss.
        figure.legend(loc="outside lower left", ncols=3, fontsize=9)
        save_figure(figure, partial, format="png", metadata={"Software": None})


def _limits(test: RangeTest) -> tuple[float, float]:
    """Limits of the loss axis: from the lowest loss to as far above the first losses as that is
    below them."""
    low, first = float(test.losses.min()), float(np.median(test.losses[:5]))
    room = max(first - low, 0.1 * abs(first), 1e-6)
    return low - 0.1 * room, first + room
