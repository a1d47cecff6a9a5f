"""Pictures. A title says the finding, an axis has its unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from matplotlib import rc_context
from matplotlib.figure import Figure

from pipeline.chart_style import BLUE, GRAY, GREEN, ORANGE, PURPLE, RED, STYLE


@dataclass(frozen=True, kw_only=True)
class RunFigures:
    """What a run's picture shows.

    Attributes:
        loader, compute, training: images/s of the input pipeline alone, of the model while it does
            not wait for data, and of both together.
        curve: (epoch, validation top-1) of each evaluation.
        stages: (what, wall seconds), in order.
    """

    loader: float
    compute: float
    training: float
    curve: Sequence[tuple[float, float]]
    stages: Sequence[tuple[str, float]]

    @classmethod
    def collect(
        cls,
        *,
        metrics: Sequence[dict[str, Any]],
        loader: dict[str, Any],
        command_seconds: dict[str, float],
    ) -> Self:
        """From the lines of metrics.jsonl, bench-loader's JSON line and the commands' times."""
        intervals = [line for line in metrics if line["kind"] == "train"]
        evaluations = [line for line in metrics if line["kind"] == "evaluation"]
        images = sum(line["images"] for line in intervals)
        seconds = sum(line["seconds"] for line in intervals)
        waiting = sum(line["data_seconds_max"] for line in intervals)
        return cls(
            loader=loader["median"]["full"],
            compute=images / (seconds - waiting),
            training=images / seconds,
            curve=[(line["epoch"], line["top1"]) for line in evaluations],
            stages=[
                ("tools/shard", command_seconds["tools/shard"]),
                ("bench-loader", command_seconds["bench-loader"]),
                ("training: waiting for data", waiting),
                ("training: compute", seconds - waiting),
                ("start, evaluation, checkpoints", command_seconds["python"] - seconds),
            ],
        )

    @property
    def best_top1(self) -> float:
        return max(top1 for _, top1 in self.curve)

    def verdict(self) -> str:
        """Which of input and compute is the limit, with the figures that say so."""
        rates = (
            f"the loader alone gives {self.loader:,.0f} images/s, the model takes "
            f"{self.compute:,.0f}"
        )
        if self.loader >= self.compute:
            return f"Compute is the limit: {rates}."
        return f"Input is the limit: {rates}."


def draw_run(figures: RunFigures, path: Path) -> None:
    """Draw rates, learning curve and wall time into one PNG."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 6.2), layout="constrained")
        figure.suptitle(figures.verdict(), fontsize=13, fontweight="bold")
        panels = figure.subplot_mosaic(
            [["rates", "curve"], ["time", "time"]], height_ratios=[3, 1.3]
        )
        _draw_rates(panels["rates"], figures)
        _draw_curve(panels["curve"], figures)
        _draw_time(panels["time"], figures)
        figure.savefig(path, dpi=150)


def _draw_rates(axes: Any, figures: RunFigures) -> None:
    names = ("loader alone", "model that has\nits batches", "training")
    rates = (figures.loader, figures.compute, figures.training)
    bars = axes.barh(names, rates, color=(BLUE, ORANGE, GREEN))
    axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=4)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 3, max(rates) * 4)
    axes.set_xlabel("images/s (log scale)")
    share = figures.training / min(figures.loader, figures.compute)
    axes.set_title(f"Training reaches {share:.0%} of the slower of the two")


def _draw_curve(axes: Any, figures: RunFigures) -> None:
    epochs, top1 = zip(*figures.curve, strict=True)
    axes.plot(epochs, [100 * value for value in top1], marker="o", color=PURPLE)
    axes.set_ylim(0, 102)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation top-1, %")
    axes.grid(alpha=0.3)
    axes.set_title(f"Best validation top-1: {figures.best_top1:.1%}")


def _draw_time(axes: Any, figures: RunFigures) -> None:
    left = 0.0
    for (name, seconds), color in zip(
        figures.stages, (GRAY, BLUE, RED, ORANGE, PURPLE), strict=True
    ):
        axes.barh([""], [seconds], left=left, color=color, label=f"{name}: {seconds:.1f} s")
        left += seconds
    axes.set_xlim(0, left)
    axes.set_yticks([])
    axes.set_xlabel("wall time, s")
    largest = max(figures.stages, key=lambda stage: stage[1])
    axes.set_title(f"Most of the {left:.0f} s: {largest[0]} ({largest[1] / left:.0%})")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.45), ncols=3, frameon=False)
