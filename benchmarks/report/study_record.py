"""The trainings of a study by configuration, as bench-study writes them to its result."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.measuring.entries import from_json


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """Time and accuracy of a finished trial.

    Attributes:
        cell: name of the trial.
        seconds: from the first step to the end, with evaluations and checkpoints.
        start_seconds: the additional duration of each process's first steps over later ones, in
            which caches fill and TensorFlow traces its graph; a part of `seconds`.
        data_seconds: time that the rank that waited longest waited for batches.
        compute_seconds: the rest of the steps, with the exchange of gradients.
        images_per_second: of the steps after the first ones.
        epochs: at the end.
        score, best: the metric of the last and of the best evaluation; None without a validation
            split.
        evaluated: samples of an evaluation, 0 without one.
        target_seconds: from the first step to the first evaluation that reached the study's target;
            None if there is no target or no evaluation reached it.
        starts: number of processes, more than one for a resumed training.
    """

    cell: str
    seconds: float
    start_seconds: float
    data_seconds: float
    compute_seconds: float
    images_per_second: float
    epochs: float
    score: float | None
    best: float | None
    evaluated: int = 0
    target_seconds: float | None
    starts: int


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The results of one framework on one number of ranks and one part of the samples, one for each
    seed.

    Attributes:
        efficiency: images/s of a rank over those of a rank at the framework's smallest number of
            ranks.
        samples: number of training samples in a study of several parts; None in others.
    """

    name: str
    framework: str
    ranks: int
    efficiency: float
    seeds: tuple[TrialResult, ...]
    samples: int | None = None

    def values(self, field: str) -> tuple[float, ...]:
        """A field of ``TrialResult`` of each seed, without None."""
        values = (getattr(result, field) for result in self.seeds)
        return tuple(value for value in values if value is not None)

    def median(self, field: str) -> float:
        """The median of ``values``, of which there must be one."""
        return statistics.median(self.values(field))


def read_configurations(bundle: Mapping[str, Any]) -> list[Configuration]:
    """The configurations of a result of bench-study, as ``read_bundle`` returns it."""
    kind, records = tuple[Configuration, ...], bundle.get("configurations")
    return list(from_json(kind, records, "configurations"))


def by_framework(configurations: Sequence[Configuration]) -> dict[str, list[Configuration]]:
    """Framework -> its configurations, in order."""
    frameworks: dict[str, list[Configuration]] = {}
    for configuration in configurations:
        frameworks.setdefault(configuration.framework, []).append(configuration)
    return frameworks
