"""The demo's figure: rates, validation accuracy and wall time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from benchmarks.demo.compare import describe_gain
from benchmarks.measuring.alternate import Measurement, ratio
from benchmarks.measuring.text import figure as digits
from benchmarks.report.axes import stacked_bars
from benchmarks.report.bar_charts import bars_panel
from benchmarks.report.headline import as_times
from benchmarks.report.training_runs import accuracy_panel
from pipeline.chart_fonts import save_figure
from pipeline.chart_style import BLUE, GRAY, GREEN, ORANGE, PURPLE, RED, STYLE
from trainer.plotting.curves import Run
from trainer.run.summary import Throughput


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo measured.

    Attributes:
        run: the training.
        download, shards: images/s of torch's DataLoader from the download, and of ours from shards.
        part_seconds: wall time of "sharding", of the measurements of "loaders" and of "trainer".
    """

    run: Run
    download: Measurement
    shards: Measurement
    part_seconds: Mapping[str, float]

    @property
    def steps(self) -> Throughput:
        """Of all training steps."""
        assert self.run.summary.total
        return self.run.summary.total

    @property
    def training(self) -> Measurement:
        """images/s of the intervals that the trainer logged."""
        rates = tuple(record["images"] / record["seconds"] for record in self.run.intervals)
        return Measurement(name="training", values=rates)

    @property
    def compute_rate(self) -> float:
        """images/s of the model while it does not wait for data."""
        return self.training.median / (1 - self.steps.data_share)

    @property
    def limit(self) -> str:
        """What limits the training from the shards, compared with that from the files."""
        if self.shards.median < self.compute_rate:
            return "still input"
        return "now compute" if self.download.median < self.compute_rate else "compute with both"

    @property
    def stages(self) -> dict[str, float]:
        """Wall seconds of each stage, in order."""
        training, waiting = self.steps.seconds, self.steps.data_share * self.steps.seconds
        return {
            "tools/shard": self.part_seconds["sharding"],
            "measuring the loaders": self.part_seconds["loaders"],
            "waiting for data": waiting,
            "compute": training - waiting,
            "start, evaluation, checkpoints": self.part_seconds["trainer"] - training,
        }

    def finding(self) -> str:
        """The gain of sharding and the limit of the training, in one sentence."""
        return (
            f"{describe_gain(self.download, self.shards)}; the limit is {self.limit}: the model "
            f"trains at {digits(self.training.median)} images/s."
        )

    def title(self) -> str:
        """`finding` as a title."""
        times = ratio(self.shards, self.download)
        if times.interval.low <= 1:
            return f"Shards are not measurably faster than files; the limit is {self.limit}"
        faster = as_times(times.median)
        return f"Shards give {faster} the images/s of the files; the limit is {self.limit}"


def draw_result(result: DemoResult, path: Path) -> None:
    """Write one PNG."""
    stages, total = result.stages, sum(result.stages.values())
    largest = max(stages, key=stages.__getitem__)
    parts = {f"{name}: {seconds:.1f} s": [seconds] for name, seconds in stages.items()}
    accuracy = accuracy_panel([result.run])
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 6.2), layout="constrained")
        figure.suptitle(result.title(), fontsize=13, fontweight="bold")
        grid: Any = [["rates", "accuracy"], ["time", "time"]]
        axes = figure.subplot_mosaic(grid, height_ratios=[3, 1])
        _draw_rates(axes["rates"], result)
        accuracy.draw(axes["accuracy"])
        axes["accuracy"].set_title(accuracy.title)
        part_colors = dict(zip(parts, (GRAY, BLUE, RED, ORANGE, PURPLE), strict=True))
        stacked_bars(axes["time"], [""], parts, part_colors, "wall time, s")
        axes["time"].set_xlim(0, total)
        longest = f"{largest}, {stages[largest] / total:.0%} of {total:.0f} s"
        axes["time"].set_title(f"Longest part: {longest}")
        save_figure(figure, path, dpi=150)


def _draw_rates(axes: Any, result: DemoResult) -> None:
    rows = {
        "download:\nPNG files,\ntorch DataLoader": result.download,
        "shards:\nshardline": result.shards,
        "training:\nResNet-50": result.training,
    }
    medians = {name: row.median for name, row in rows.items()}
    limits = [row.interval.limits for row in rows.values()]
    bars_panel("rates", "", medians, colors=[GRAY, BLUE, GREEN], limits=limits).draw(axes)
    # The loaders may be hundreds of times as fast as the model.
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    values = [value for pair in limits for value in pair]
    axes.set_xlim(min(values) / 3, max(values) * 4)
    axes.set_xlabel("images/s (log scale), median and interval")
    times = as_times(result.shards.median / result.compute_rate)
    axes.set_title(f"Shards give {times} what the model takes")
