"""What this process may use of the machine, and whether a training needs more."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from benchmarks.loader.health_checks import GIB, Finding
from pipeline.limits.control_groups import ROOT
from pipeline.limits.cores import core_quota
from pipeline.limits.memory import Memory, read_memory
from pipeline.limits.open_files import ENOUGH, raise_open_files
from pipeline.storage.shard_files import OPEN_SHARDS

# Open files besides shards: libraries, sockets, the loader of validation.
OTHER_FILES = 256
# For NCCL's rings between the ranks of a machine; containers often have 64 MiB.
SHARED_MEMORY_BYTES = 2**30
SHARED_MEMORY = "dev/shm"


class ProcessLimits(NamedTuple):
    """`affinity` and `machine_cores` are numbers of cores, `quota` one or a part of it, None
    without a limit. `shared_memory` has the size and the free space of /dev/shm in bytes, None if
    there is none."""

    affinity: int
    machine_cores: int
    quota: float | None
    memory: Memory
    open_files: int
    shared_memory: tuple[int, int] | None


def read_limits(root: Path = ROOT) -> ProcessLimits:
    """The limits of this process, those in files by the files in `root`."""
    try:
        usage = shutil.disk_usage(root / SHARED_MEMORY)
    except OSError:
        usage = None
    return ProcessLimits(
        affinity=len(os.sched_getaffinity(0)),
        machine_cores=os.cpu_count() or 1,
        quota=core_quota(root),
        memory=read_memory(root),
        open_files=raise_open_files(),
        shared_memory=None if usage is None else (usage.total, usage.free),
    )


def check_limits(limits: ProcessLimits, *, ranks: int, shards: int) -> list[Finding]:
    """One finding of what there is, and one of each that is too little for `ranks` ranks and
    `shards` local shards."""
    needs = (
        check_open_files(limits.open_files, shards),
        check_shared_memory(limits.shared_memory, ranks),
    )
    return [Finding(describe_limits(limits)), *(finding for finding in needs if finding.advice)]


def describe_limits(limits: ProcessLimits) -> str:
    """Return "This process may use 3.5 of 64 cores (cgroup), ... and 64 MiB in /dev/shm"."""
    memory = limits.memory
    available = _gib(memory.total)
    if memory.limit is not None:
        available = f"{_gib(memory.limit)} of {available}"
    by = " (cgroup)" if memory.limit is not None else ""
    shared = "no /dev/shm"
    if limits.shared_memory is not None:
        size, free = limits.shared_memory
        shared = f"{_size(size)} in /dev/shm ({_size(free)} free)"
    return (
        f"This process may use {_cores(limits)}, {available} GiB of memory{by}, "
        f"{_gib(memory.free)} GiB of it free, {limits.open_files:,} open files and {shared}"
    )


def check_open_files(limit: int, shards: int) -> Finding:
    needed = min(shards, OPEN_SHARDS) + OTHER_FILES
    fact = f"A process can open {limit:,} files, training needs about {needed:,} open files"
    if limit < needed:
        return Finding(
            fact,
            f"shards are opened too often; raise the hard limit, with ulimit -n {ENOUGH} as root "
            f"or docker run --ulimit nofile={ENOUGH}",
        )
    return Finding(fact)


def check_shared_memory(shared_memory: tuple[int, int] | None, ranks: int) -> Finding:
    """`shared_memory`: as in ``ProcessLimits``."""
    if shared_memory is None:
        return Finding("/dev/shm does not exist", "several GPUs need it; mount a tmpfs")
    fact = f"/dev/shm has {_size(shared_memory[1])} free"
    if ranks > 1 and shared_memory[1] < SHARED_MEMORY_BYTES:
        return Finding(
            fact,
            "NCCL's buffers between GPUs may not fit; start the container with docker run "
            "--shm-size 1g or --ipc host, or mount an emptyDir of medium Memory there",
        )
    return Finding(fact)


def _cores(limits: ProcessLimits) -> str:
    """Return "3.5 of 64 cores (cgroup)", "2 of 64 cores (affinity)" or "64 cores"."""
    quota, machine = limits.quota, limits.machine_cores
    if quota is not None and quota < limits.affinity:
        return f"{quota:.4g} of {machine:,} cores (cgroup)"
    if limits.affinity < machine:
        return f"{limits.affinity:,} of {machine:,} cores (affinity)"
    return f"{machine:,} cores"


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:,.1f}"


def _size(size_bytes: int) -> str:
    """In MiB below a GiB, as containers often have 64 MiB."""
    if size_bytes < GIB:
        return f"{size_bytes / 2**20:,.0f} MiB"
    return f"{_gib(size_bytes)} GiB"
