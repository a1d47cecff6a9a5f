"""The results of a study by configuration: a framework on a number of ranks and a part of
the samples, over its seeds."""

import statistics
from collections.abc import Mapping, Sequence
from itertools import groupby

from benchmarks.report.study_record import Configuration, TrialResult, by_framework
from benchmarks.study.config import FRAMEWORKS
from benchmarks.study.trials import Trial


def group_results(results: Mapping[Trial, TrialResult]) -> list[Configuration]:
    """By framework, fewer ranks and smaller parts first."""
    configurations = []
    for framework, title in FRAMEWORKS.items():
        of_framework = [trial for trial in results if trial.framework == framework]
        by_size = sorted(of_framework, key=_size)
        for (ranks, samples), group in groupby(by_size, key=_size):
            trials = [*group]
            seeds = tuple(results[trial] for trial in trials)
            rate = statistics.median(seed.images_per_second for seed in seeds)
            if trials[0] is by_size[0]:
                first = rate
            configurations.append(
                Configuration(
                    name=trials[0].configuration,
                    framework=title,
                    ranks=ranks,
                    efficiency=rate / first * by_size[0].ranks / ranks,
                    seeds=seeds,
                    samples=samples or None,
                )
            )
    return configurations


def _size(trial: Trial) -> tuple[int, int]:
    """(ranks, training samples of a part)."""
    return trial.ranks, trial.part.samples if trial.part else 0


def speed_up(first: Configuration, last: Configuration) -> float:
    """Ratio of images/s, medians over the seeds."""
    return last.median("images_per_second") / first.median("images_per_second")


def extremes(configurations: Sequence[Configuration]) -> list[tuple[Configuration, Configuration]]:
    """The smallest and the largest number of ranks of each framework that has several."""
    groups = by_framework(configurations).values()
    return [(sizes[0], sizes[-1]) for sizes in groups if len(sizes) > 1]
