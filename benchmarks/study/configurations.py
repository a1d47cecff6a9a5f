"""The results of a study by configuration: a framework on a number of ranks, over its seeds."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.measuring.text import counted
from benchmarks.report.study_record import Configuration, TrialResult, by_framework
from benchmarks.study.config import FRAMEWORKS
from benchmarks.study.trials import Trial


def group_results(results: Mapping[Trial, TrialResult]) -> list[Configuration]:
    """By framework, fewer ranks first."""
    configurations = []
    for framework, title in FRAMEWORKS.items():
        trials = [trial for trial in results if trial.framework == framework]
        sizes = sorted({trial.ranks for trial in trials})
        for ranks in sizes:
            seeds = tuple(results[trial] for trial in trials if trial.ranks == ranks)
            rate = statistics.median(seed.images_per_second for seed in seeds)
            if ranks == sizes[0]:
                first = rate
            configurations.append(
                Configuration(
                    name=f"{title}, {counted(ranks, 'rank')}",
                    framework=title,
                    ranks=ranks,
                    efficiency=rate / first * sizes[0] / ranks,
                    seeds=seeds,
                )
            )
    return configurations


def speed_up(first: Configuration, last: Configuration) -> float:
    """Ratio of images/s, medians over the seeds."""
    return last.median("images_per_second") / first.median("images_per_second")


def extremes(configurations: Sequence[Configuration]) -> list[tuple[Configuration, Configuration]]:
    """The smallest and the largest number of ranks of each framework that has several."""
    groups = by_framework(configurations).values()
    return [(sizes[0], sizes[-1]) for sizes in groups if len(sizes) > 1]
