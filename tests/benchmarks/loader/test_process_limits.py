"""What --doctor says about the limits of its process."""

import os
from pathlib import Path

import pytest

from benchmarks.loader.health_checks import GIB
from benchmarks.loader.process_limits import ProcessLimits, check_limits, read_limits
from pipeline.limits.memory import Memory

LIMITS = ProcessLimits(
    affinity=64,
    machine_cores=64,
    quota=None,
    memory=Memory(total=251 * GIB, free=240 * GIB, limit=None),
    open_files=1024,
    shared_memory=(126 * GIB, 126 * GIB),
)


def test_the_limits_are_one_line() -> None:
    (whole,) = check_limits(LIMITS, ranks=8, shards=1000)
    assert str(whole) == (
        "This process may use 64 cores, 251.0 GiB of memory, 240.0 GiB of it free, 1,024 open "
        "files and 126.0 GiB in /dev/shm (126.0 GiB free)."
    )
    small = LIMITS._replace(
        quota=3.5,
        memory=Memory(total=251 * GIB, free=12 * GIB, limit=16 * GIB),
        open_files=64,
        shared_memory=(2**26, 2**25),
    )
    found, files, shared = check_limits(small, ranks=2, shards=1000)
    assert str(found) == (
        "This process may use 3.5 of 64 cores (cgroup), 16.0 of 251.0 GiB of memory (cgroup), "
        "12.0 GiB of it free, 64 open files and 64 MiB in /dev/shm (32 MiB free)."
    )
    assert "ulimit" in files.advice and "--shm-size" in shared.advice
    (pinned, missing) = check_limits(
        LIMITS._replace(affinity=2, quota=2.0, shared_memory=None), ranks=1, shards=1
    )
    assert "may use 2 of 64 cores (affinity)" in pinned.fact and "no /dev/shm" in pinned.fact
    assert "mount" in missing.advice


def test_the_limits_of_this_process_are_read(tmp_path: Path) -> None:
    limits = read_limits()
    assert limits.affinity == len(os.sched_getaffinity(0)) <= limits.machine_cores
    assert 0 < limits.memory.free < limits.memory.total and limits.open_files > 64
    elsewhere = read_limits(tmp_path)
    assert (elsewhere.quota, elsewhere.memory.limit, elsewhere.shared_memory) == (None, None, None)
    assert elsewhere.memory.total == pytest.approx(limits.memory.total, rel=0.01)
