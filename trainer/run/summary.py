"""What a whole run came to, from its records: rates, times to accuracies, memory.

records of metrics.jsonl -> summarize -> the table at the end and the record of kind "summary"
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainer.run.metrics_reader import Record

# Of a validation top-1 accuracy; a run says when it first reached each.
MILESTONES = (0.5, 0.75, 0.9, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Images over the time of the intervals that made them; evaluations lie between intervals."""

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
    """Of all processes that the run took.

    Attributes:
        elapsed_seconds: from the first step to the end, with evaluations and checkpoints.
        warmup: the first interval of each process, when caches fill and kernels are chosen.
        first_epoch: the rest of each process's first epoch, whose files are read cold.
        later_epochs: the rest. Each of the three is None where a run has no such part.
        total: all intervals.
        memory_bytes: the most on any rank; see docs/metrics.md.
        bad_samples: the most that one process met; another meets some of them again.
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
        rates = ("warmup", "first_epoch", "later_epochs", "total")
        values = asdict(self)
        for name in rates:
            part: Throughput | None = getattr(self, name)
            if part:
                values[name]["images_per_second"] = part.images_per_second
        for name in ("processes", "elapsed_seconds"):  # every record has these
            del values[name]
        return values


def summarize(records: Sequence[Record], *, samples: int) -> Summary:
    """Of a run's `records`, at least one, with `samples` samples an epoch."""
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
        milestones=reached(records),
        memory_bytes=max((interval["memory_bytes"] for interval in intervals), default=0),
        bad_samples=max((interval["bad_samples"] for interval in intervals), default=0),
    )


def throughput(intervals: Sequence[Record]) -> Throughput | None:
    """Total over `intervals`, None if there are none."""
    if not intervals:
        return None
    seconds = sum(interval["seconds"] for interval in intervals)
    return Throughput(
        images=sum(interval["images"] for interval in intervals),
        seconds=seconds,
        data_share=sum(interval["data_seconds_max"] for interval in intervals) / seconds,
    )


def reached(records: Iterable[Record]) -> list[Milestone]:
    """The milestones that evaluations with a top-1 reached, the lowest first."""
    evaluations = [record for record in records if "top1" in record]
    found = []
    for top1 in MILESTONES:
        first = next((record for record in evaluations if record["top1"] >= top1), None)
        if first:
            values = {key: first[key] for key in ("elapsed_seconds", "position", "epoch")}
            found.append(Milestone(top1=top1, **values))
    return found
