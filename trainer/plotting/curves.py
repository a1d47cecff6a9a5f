"""Curves of several runs, and sentences about them for titles."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.duration_text import clock
from pipeline.errors import MisuseError
from pipeline.storage.folder_kinds import METRICS_NAME, runs_in
from trainer.run.metrics_reader import Record, read_records
from trainer.run.summary import Summary, Throughput, summarize, throughput
from trainer.tasks.metric_names import METRIC_NAMES

# Longest curve; of a longer one neighbors are averaged.
POINTS = 120

# Most runs that a title names.
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Run:
    """Records of a run.

    Attributes:
        intervals: records of kind "train", in order.
        evaluations: records of kind "evaluation" with the metric `score`, in order.
        score: a name from METRIC_NAMES; None without an evaluation.
    """

    name: str
    intervals: Sequence[Record]
    evaluations: Sequence[Record]
    score: str | None
    summary: Summary

    @property
    def restarts(self) -> list[Record]:
        """The last interval before each restart."""
        pairs = zip(self.intervals, self.intervals[1:], strict=False)
        return [before for before, after in pairs if before["process"] != after["process"]]

    @property
    def steady(self) -> Throughput | None:
        """Throughput of the later epochs, or else of the latest part that there is."""
        summary = self.summary
        return summary.later_epochs or summary.first_epoch or summary.warmup

    @property
    def best(self) -> float:
        """Highest value of `score`."""
        return max(float(record[str(self.score)]) for record in self.evaluations)


def expand_folders(paths: Sequence[Path]) -> list[Path]:
    """`paths`, with each folder of runs replaced by those of its runs that have logged."""
    expanded = []
    for path in paths:
        is_run = (path / METRICS_NAME).exists()
        runs = [] if is_run else [run for run in runs_in(path) if _has_logged(run)]
        expanded += runs or [path]
    return expanded


def _has_logged(run: Path) -> bool:
    return (run / METRICS_NAME).stat().st_size > 0


def open_runs(directories: Sequence[Path]) -> list[Run]:
    """Read the runs in `directories`.

    Raises ``DataError`` for a directory without a valid run, ``MisuseError`` for a repeated one.
    """
    if len({directory.resolve() for directory in directories}) < len(directories):
        raise MisuseError("A run is given twice: give each run once.")
    short = [directory.resolve().name for directory in directories]
    names = short if len(set(short)) == len(short) else [str(path) for path in directories]
    return [_open(path, name) for path, name in zip(directories, names, strict=True)]


def _open(directory: Path, name: str) -> Run:
    records = read_records(directory)
    evaluations = [record for record in records if record["kind"] == "evaluation"]
    recorded = {field for record in evaluations for field in record}
    score = next((field for field in METRIC_NAMES if field in recorded), None)
    # Samples per epoch.
    samples = next((round(r["position"] / r["epoch"]) for r in records if r["epoch"]), 1)
    return Run(
        name=name,
        intervals=[record for record in records if record["kind"] == "train"],
        evaluations=[record for record in evaluations if score in record],
        score=score,
        summary=summarize(records, samples=samples),
    )


def first_score(runs: Sequence[Run]) -> str | None:
    """The metric of the first of `runs` that has one."""
    return next((run.score for run in runs if run.score), None)


def thin_out(intervals: Sequence[Record], limit: int = POINTS) -> list[Record]:
    """At most `limit` records: neighbors are merged, with their loss averaged over images and
    their rates over time."""
    size = -(-len(intervals) // limit) or 1
    return [_merge(intervals[first : first + size]) for first in range(0, len(intervals), size)]


def _merge(group: Sequence[Record]) -> Record:
    total = throughput(group)
    assert total
    return {
        **group[-1],
        "loss": sum(record["loss"] * record["images"] for record in group) / total.images,
        "images_per_second": total.images_per_second,
        "data_share": total.data_share,
    }


def loss_finding(runs: Sequence[Run]) -> str:
    """The last validation loss of each run, or else the last training loss."""
    for kind, losses in (
        ("validation", {run.name: run.evaluations[-1]["loss"] for run in runs if run.evaluations}),
        ("training", {run.name: run.intervals[-1]["loss"] for run in runs if run.intervals}),
    ):
        if losses:
            return f"Final {kind} loss: {_list_values(runs, losses, '{:.3f}'.format)}"
    return "No loss yet"


def score_finding(runs: Sequence[Run]) -> str:
    """The best score of each run with the metric of the first."""
    score = first_score(runs)
    if score is None:
        return "No evaluation yet"
    scores = {run.name: run.best for run in runs if run.score == score}
    show = "{:.3f}".format if score == "r2" else "{:.1%}".format
    best = _list_values(runs, scores, show, largest_first=True)
    return f"Best {METRIC_NAMES[score][0]}: {best}"


def rate_finding(runs: Sequence[Run]) -> str:
    """The throughput of each run."""
    rates = {run.name: run.steady.images_per_second for run in runs if run.steady}
    highest = _list_values(runs, rates, "{:,.0f}".format, largest_first=True)
    return f"Throughput after warm-up, images/s: {highest}" if rates else "No throughput yet"


def wait_finding(runs: Sequence[Run]) -> str:
    """The share of the time that each run waits for batches."""
    shares = {run.name: run.steady.data_share for run in runs if run.steady}
    lowest = _list_values(runs, shares, "{:.1%}".format)
    return f"Time spent waiting for data: {lowest}" if shares else "No steps yet"


def learning_rate_finding(runs: Sequence[Run]) -> str:
    """The highest learning rate that each run logged."""
    peaks = {
        run.name: max(record["learning_rate"] for record in run.intervals)
        for run in runs
        if run.intervals
    }
    highest = _list_values(runs, peaks, "{:.3g}".format, largest_first=True)
    return f"Highest logged learning rate: {highest}" if peaks else "No learning rate yet"


def headline(runs: Sequence[Run]) -> str:
    """Time to the highest milestone that any run reached, or else the best score or loss."""
    reached = [(run.name, milestone) for run in runs for milestone in run.summary.milestones]
    highest = max((milestone.top1 for _, milestone in reached), default=None)
    if highest is None:
        return score_finding(runs) if first_score(runs) else loss_finding(runs)
    seconds = {name: m.elapsed_seconds for name, m in reached if m.top1 == highest}
    slower = [run.name for run in runs if run.name not in seconds]
    rest = f"; not reached by {', '.join(slower[:_NAMED])}" if slower else ""
    return f"Top-1 of {highest:.0%} after {_list_values(runs, seconds, clock)}{rest}"


def _list_values(
    runs: Sequence[Run],
    values: Mapping[str, float],
    show: Callable[[float], str],
    *,
    largest_first: bool = False,
) -> str:
    """The best of `values`, by name of the run, with these names; one that all runs share has no
    name."""
    texts = {name: show(value) for name, value in values.items()}
    if len(texts) == len(runs) and len(set(texts.values())) == 1:
        return next(iter(texts.values())) + (" in each run" if len(texts) > 1 else "")
    best = sorted(texts, key=lambda name: values[name], reverse=largest_first)
    rest = f" and {len(best) - _NAMED} more" if len(best) > _NAMED else ""
    return ", ".join(f"{texts[name]} ({name})" for name in best[:_NAMED]) + rest
