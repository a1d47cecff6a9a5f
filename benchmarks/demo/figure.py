"""The demo's figure: rates, validation accuracy and wall time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from benchmarks.report.axes import stacked_bars
from benchmarks.report.bar_charts import RATE_COLORS, bars_panel
from benchmarks.report.training_runs import accuracy_panel
from pipeline.chart_fonts import save_figure
from pipeline.chart_style import BLUE, GRAY, ORANGE, PURPLE, RED, STYLE
from trainer.plotting.curves import Run
from trainer.run.summary import Throughput


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo measured.

    Attributes:
        run: the training.
        loader_rate: images/s of bench-loader.
        command_seconds: wall time of "tools/shard", "bench-loader" and "python", the trainer.
    """

    run: Run
    loader_rate: float
    command_seconds: Mapping[str, float]

    @property
    def steps(self) -> Throughput:
        """Of all training steps."""
        assert self.run.summary.total
        return self.run.summary.total

    @property
    def compute_rate(self) -> float:
        """images/s of the model while it does not wait for data."""
        return self.steps.images_per_second / (1 - self.steps.data_share)

    @property
    def stages(self) -> dict[str, float]:
        """Wall seconds of each stage, in order."""
        training, waiting = self.steps.seconds, self.steps.data_share * self.steps.seconds
        return {
            "tools/shard": self.command_seconds["tools/shard"],
            "bench-loader": self.command_seconds["bench-loader"],
            "waiting for data": waiting,
            "compute": training - waiting,
            "start, evaluation, checkpoints": self.command_seconds["python"] - training,
        }

    def finding(self) -> str:
        """The bottleneck and its rates."""
        limit = "Compute" if self.loader_rate >= self.compute_rate else "Input"
        return (
            f"{limit} is the bottleneck: the loader gives {self.loader_rate:,.0f} images/s, the "
            f"model trains at {self.compute_rate:,.0f}"
        )


def draw_result(result: DemoResult, path: Path) -> None:
    """Write one PNG."""
    rates = (result.loader_rate, result.compute_rate, result.steps.images_per_second)
    share = rates[-1] / min(rates[:-1])
    stages, total = result.stages, sum(result.stages.values())
    largest = max(stages, key=stages.__getitem__)
    parts = {f"{name}: {seconds:.1f} s": [seconds] for name, seconds in stages.items()}
    accuracy = accuracy_panel([result.run])
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 6.2), layout="constrained")
        figure.suptitle(result.finding(), fontsize=13, fontweight="bold")
        grid: Any = [["rates", "accuracy"], ["time", "time"]]
        axes = figure.subplot_mosaic(grid, height_ratios=[3, 1])
        named_rates = dict(zip(RATE_COLORS, rates, strict=True))
        bars_panel("rates", "", named_rates, colors=[*RATE_COLORS.values()]).draw(axes["rates"])
        # The loader is hundreds of times as fast as the model.
        axes["rates"].set_xscale("log")
        axes["rates"].xaxis.set_major_formatter("{x:,.0f}")
        axes["rates"].set_xlim(min(rates) / 3, max(rates) * 4)
        axes["rates"].set_xlabel("images/s (log scale)")
        axes["rates"].set_title(f"Training reaches {share:.0%} of the slower of loader and model")
        accuracy.draw(axes["accuracy"])
        axes["accuracy"].set_title(accuracy.title)
        part_colors = dict(zip(parts, (GRAY, BLUE, RED, ORANGE, PURPLE), strict=True))
        stacked_bars(axes["time"], [""], parts, part_colors, "wall time, s")
        axes["time"].set_xlim(0, total)
        longest = f"{largest}, {stages[largest] / total:.0%} of {total:.0f} s"
        axes["time"].set_title(f"Longest part: {longest}")
        save_figure(figure, path, dpi=150)
