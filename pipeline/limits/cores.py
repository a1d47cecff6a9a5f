"""Cores that this process, or each rank of a machine, may use."""

import math
import os
from functools import cache
from pathlib import Path

from pipeline.limits.control_groups import ROOT, group_folders, read_numbers


def available_cores() -> int:
    """CPU cores that this process may use: those that it may run on, or the quota of its container,
    rounded up, if that is less.

    Of 1.5 cores two threads use all, and one would leave a third of them idle; the kernel stops
    the two for a part of each tenth of a second. loky, too, rounds up. Python's
    ``process_cpu_count`` knows no quotas.
    """
    quota = _own_quota()
    cores = len(os.sched_getaffinity(0))
    return cores if quota is None else min(cores, math.ceil(quota))


def rank_cores(ranks: int | None = None) -> int:
    """The equal share of ``available_cores`` of each of `ranks` ranks on this machine, at least 1;
    by default of those that torchrun started."""
    return max(1, available_cores() // (ranks or local_ranks()))


def local_ranks() -> int:
    """The number of ranks that torchrun started on this machine, 1 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def core_quota(root: Path = ROOT) -> float | None:
    """Seconds of CPU that this process's control groups give in a second; None without a limit."""
    quotas = map(_quota, group_folders("cpu", root))
    return min((quota for quota in quotas if quota is not None), default=None)


# Read once, as threads are started once.
_own_quota = cache(core_quota)


def _quota(folder: Path) -> float | None:
    """No limit is "max 100000" in version 2, and -1 in version 1."""
    numbers = read_numbers(folder / "cpu.max") or [
        *read_numbers(folder / "cpu.cfs_quota_us"),
        *read_numbers(folder / "cpu.cfs_period_us"),
    ]
    if len(numbers) != 2 or min(numbers) <= 0:
        return None
    quota_microseconds, period_microseconds = numbers
    return quota_microseconds / period_microseconds
