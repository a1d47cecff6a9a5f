"""Summary of a run from its records: throughput, time to accuracies, memory.

The trainer prints it at the end and writes it as the record of kind "summary".
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainer.run.metrics_reader import Record

# Validation top-1 accuracies; a summary has the time to each.
MILESTONES = (0.5, 0.75, 0.9, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Images and duration of several intervals, without the evaluations between them."""

    images: int
    seconds: float
    data_share: float

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds


@dataclass(frozen=True, kw_only=True)
class Milestone:
    """The first evaluation whose top-1 is at least `top1`."""

    top1: float
    elapsed_seconds: float
    position: int
    epoch: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Results over all processes of a run.

    Attributes:
        processes: number of processes that logged a record.
        elapsed_seconds: from the first step to the end, including evaluations and checkpoints.
        warmup: the first interval of each process, while caches fill and kernels are chosen.
        first_epoch: the rest of each process's first epoch, with files not yet in the page cache.
        later_epochs: the rest. Each of these three is None if the run has no such interval.
        total: all intervals.
        milestones: lowest accuracy first.
        memory_bytes: maximum over ranks and intervals.
        bad_samples: maximum over the processes, which may find the same ones.
    """

    processes: int
    elapsed_seconds: float
    warmup: Throughput | None
    first_epoch: Throughput | None
    later_epochs: Throughput | None
    total: Throughput | None
    milestones: Sequence[Milestone]
    memory_bytes: int
    bad_samples: int

    def as_record(self) -> dict[str, Any]:
        """Fields of a summary record, without those that all records have."""
        values = asdict(self)
        del values["processes"], values["elapsed_seconds"]
        for name in ("warmup", "first_epoch", "later_epochs", "total"):
            if part := getattr(self, name):
                values[name]["images_per_second"] = part.images_per_second
        return values


def summarize(records: Sequence[Record], *, samples: int) -> Summary:
    """Summarize the `records`, at least one, of a run with `samples` samples per epoch."""
    intervals = [record for record in records if record["kind"] == "train"]
    parts: dict[str, list[Record]] = {"warmup": [], "first_epoch": [], "later_epochs": []}
    process, cold_until = -1, 0
    for interval in intervals:
        begin = interval["position"] - interval["images"]
        if interval["process"] != process:
            process, cold_until = interval["process"], begin + samples
            parts["warmup"].append(interval)
        else:
            parts["first_epoch" if begin < cold_until else "later_epochs"].append(interval)
    return Summary(
        processes=records[-1]["process"] + 1,
        elapsed_seconds=records[-1]["elapsed_seconds"],
        **{name: throughput(part) for name, part in parts.items()},
        total=throughput(intervals),
        milestones=find_milestones(records),
        memory_bytes=max((interval["memory_bytes"] for interval in intervals), default=0),
        bad_samples=max((interval["bad_samples"] for interval in intervals), default=0),
    )


def throughput(intervals: Sequence[Record]) -> Throughput | None:
    """Throughput over `intervals`; None if there are none."""
    if not intervals:
        return None
    seconds = sum(interval["seconds"] for interval in intervals)
    return Throughput(
        images=sum(interval["images"] for interval in intervals),
        seconds=seconds,
        data_share=sum(interval["data_seconds_max"] for interval in intervals) / seconds,
    )


def find_milestones(records: Iterable[Record]) -> list[Milestone]:
    """The milestones that the evaluations reached, lowest first."""
    evaluations = [record for record in records if "top1" in record]
    milestones = []
    for top1 in MILESTONES:
        first = next((record for record in evaluations if record["top1"] >= top1), None)
        if first:
            values = {key: first[key] for key in ("elapsed_seconds", "position", "epoch")}
            milestones.append(Milestone(top1=top1, **values))
    return milestones
