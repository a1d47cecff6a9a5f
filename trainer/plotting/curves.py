"""What several runs' records show: a curve for each, and a sentence that says what it comes to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import MisuseError
from trainer.run.duration import clock
from trainer.run.metrics_reader import Record, read_records
from trainer.run.summary import Summary, Throughput, summarize, throughput
from trainer.tasks.scores import METRIC_NAMES

# More points than these are no easier to read: neighbors are drawn as one.
POINTS = 120

# Sentences name so many runs.
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run's intervals and evaluations, in their order; `score` is a name of METRIC_NAMES, None if
    nothing was evaluated."""

    name: str
    intervals: Sequence[Record]
    evaluations: Sequence[Record]
    score: str | None
    summary: Summary

    @property
    def restarts(self) -> list[Record]:
        """The last interval before each new process."""
        pairs = zip(self.intervals, self.intervals[1:], strict=False)
        return [before for before, after in pairs if before["process"] != after["process"]]

    @property
    def steady(self) -> Throughput | None:
        """The warmest part of it that there is."""
        parts = self.summary
        return parts.later_epochs or parts.first_epoch or parts.warmup

    @property
    def best(self) -> float:
        return max(float(record[str(self.score)]) for record in self.evaluations)


def open_runs(directories: Sequence[Path]) -> list[Run]:
    """Raises ``DataError`` for a folder without a run, or with a damaged one."""
    if len({directory.resolve() for directory in directories}) < len(directories):
        raise MisuseError("A run is given twice: give each once.")
    short = [directory.resolve().name for directory in directories]
    names = short if len(set(short)) == len(short) else [str(path) for path in directories]
    return [_open(path, name) for path, name in zip(directories, names, strict=True)]


def _open(directory: Path, name: str) -> Run:
    records = read_records(directory)
    evaluations = [record for record in records if record["kind"] == "evaluation"]
    found = [field for field in METRIC_NAMES if any(field in record for record in evaluations)]
    score = found[0] if found else None
    return Run(
        name=name,
        intervals=[record for record in records if record["kind"] == "train"],
        evaluations=[record for record in evaluations if score in record],
        score=score,
        summary=summarize(records, samples=_samples(records)),
    )


def _samples(records: Sequence[Record]) -> int:
    """Samples of an epoch."""
    return next((round(r["position"] / r["epoch"]) for r in records if r["epoch"]), 1)


def thinned(intervals: Sequence[Record], most: int = POINTS) -> list[Record]:
    """At most `most` intervals: neighbors are one whose loss is the mean over their images, and
    whose rates are those of their common time."""
    size = -(-len(intervals) // most)
    groups = [intervals[first : first + size] for first in range(0, len(intervals), size or 1)]
    return [_joined(group) for group in groups]


def _joined(group: Sequence[Record]) -> Record:
    total = throughput(group)
    assert total
    loss = sum(record["loss"] * record["images"] for record in group) / total.images
    return {
        **group[-1],
        "loss": loss,
        "images_per_second": total.images_per_second,
        "data_share": total.data_share,
    }


def loss_finding(runs: Sequence[Run]) -> str:
    evaluated = {run.name: run.evaluations[-1]["loss"] for run in runs if run.evaluations}
    trained = {run.name: run.intervals[-1]["loss"] for run in runs if run.intervals}
    if not trained and not evaluated:
        return "No loss yet"
    which, values = ("Validation", evaluated) if evaluated else ("Training", trained)
    return f"{which} loss ends at {_listed(runs, values, '{:.3f}'.format)}"


def score_finding(runs: Sequence[Run]) -> str:
    found = [run for run in runs if run.score]
    if not found:
        return "Nothing was evaluated yet"
    kind = found[0].score
    values = {run.name: run.best for run in found if run.score == kind}
    name = METRIC_NAMES[str(kind)][0]
    return f"Best {name}: {_listed(runs, values, share_or_number(kind), largest=True)}"


def rate_finding(runs: Sequence[Run]) -> str:
    values = {run.name: run.steady.images_per_second for run in runs if run.steady}
    if not values:
        return "No throughput yet"
    return (
        f"Throughput once warm, images/s: {_listed(runs, values, '{:,.0f}'.format, largest=True)}"
    )


def wait_finding(runs: Sequence[Run]) -> str:
    values = {run.name: run.steady.data_share for run in runs if run.steady}
    if not values:
        return "No steps yet"
    return f"Share of the time spent waiting for data: {_listed(runs, values, '{:.1%}'.format)}"


def learning_rate_finding(runs: Sequence[Run]) -> str:
    values = {
        run.name: max(record["learning_rate"] for record in run.intervals)
        for run in runs
        if run.intervals
    }
    if not values:
        return "No learning rate yet"
    return f"Learning rate peaks at {_listed(runs, values, '{:.3g}'.format, largest=True)}"


def headline(runs: Sequence[Run]) -> str:
    """Who was first at the highest milestone that any reached, or else the best score or loss."""
    reached = {
        run.name: {found.top1: found.elapsed_seconds for found in run.summary.milestones}
        for run in runs
    }
    highest = max((top1 for found in reached.values() for top1 in found), default=None)
    if highest is not None:
        values = {name: found[highest] for name, found in reached.items() if highest in found}
        slower = [name for name in reached if name not in values]
        rest = f"; not reached by {', '.join(slower[:_NAMED])}" if slower else ""
        return f"Top-1 of {highest:.0%} after {_listed(runs, values, clock)}{rest}"
    return score_finding(runs) if any(run.score for run in runs) else loss_finding(runs)


def share_or_number(score: str | None) -> Callable[[float], str]:
    return "{:.3f}".format if score == "r2" else "{:.1%}".format


def _listed(
    runs: Sequence[Run],
    values: Mapping[str, float],
    show: Callable[[float], str],
    *,
    largest: bool = False,
) -> str:
    """The best values with the names of their runs; one that all runs share needs none."""
    shown = {name: show(value) for name, value in values.items()}
    if len(shown) == len(runs) and len(set(shown.values())) == 1:
        return next(iter(shown.values())) + (" in each" if len(shown) > 1 else "")
    best = sorted(shown, key=lambda name: values[name], reverse=largest)
    rest = f" and {len(best) - _NAMED} more" if len(best) > _NAMED else ""
    return ", ".join(f"{shown[name]} ({name})" for name in best[:_NAMED]) + rest
