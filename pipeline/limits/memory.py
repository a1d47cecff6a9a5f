"""Memory that this process, or each rank of a machine, may use."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.limits.control_groups import ROOT, group_folders, read_numbers, read_text
from pipeline.limits.cores import local_ranks

if TYPE_CHECKING:
    import torch

# Fraction of the free memory: --cache auto leaves most of it to the training.
FREE_FRACTIONS = {"auto": 0.25, "host": 0.75, "device": 0.5}

# Files of versions 2 and 1: limits, use, and in memory.stat the part of it that is freed first.
# Above memory.high processes are slowed down until they free memory.
_LIMITS = ("memory.max", "memory.high", "memory.limit_in_bytes")
_USES = ("memory.current", "memory.usage_in_bytes")
_RECLAIMABLE = ("total_inactive_file", "inactive_file")


class Memory(NamedTuple):
    """In bytes. `limit` is that of the tightest control group, None without one below `total`, the
    memory of the machine; `free` is the machine's or what is left of a limit, the least of them."""

    total: int
    free: int
    limit: int | None


def read_memory(root: Path = ROOT) -> Memory:
    """The memory that this process may use, by the files in `root`."""
    machine = _numbers_of(read_text(root / "proc/meminfo"))
    total, free = (
        machine[name] * 1024 if name in machine else os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
        for name, pages in (("MemTotal:", "SC_PHYS_PAGES"), ("MemAvailable:", "SC_AVPHYS_PAGES"))
    )
    limits = []
    for folder in group_folders("memory", root):
        # Without a limit version 1 has a number beyond all memory.
        own = [limit for name in _LIMITS for limit in _one(folder / name) if 0 < limit < total]
        if own:
            limits.append(min(own))
            free = min(free, max(0, min(own) - _used(folder)))
    return Memory(total, free, min(limits, default=None))


def available_bytes() -> int:
    """Free memory in bytes: the machine's, or what is left below the container's limit if that is
    less."""
    return read_memory().free


def memory_for_cache(mode: str, device: "torch.device") -> int:
    """Bytes that --cache `mode` may use for this rank on `device`, the CPU for host memory."""
    if device.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = available_bytes() // local_ranks()
    return int(FREE_FRACTIONS[mode] * free)


def _used(folder: Path) -> int:
    """The use of a group, without pages of files that are freed first."""
    used = max((use for name in _USES for use in _one(folder / name)), default=0)
    parts = _numbers_of(read_text(folder / "memory.stat"))
    return used - next((parts[name] for name in _RECLAIMABLE if name in parts), 0)


def _one(path: Path) -> list[int]:
    """The number in a file, if it has one and nothing else."""
    numbers = read_numbers(path)
    return numbers if len(numbers) == 1 else []


def _numbers_of(text: str) -> dict[str, int]:
    """name -> number of the lines "name number"."""
    words = (line.split() for line in text.splitlines())
    return {line[0]: int(line[1]) for line in words if len(line) > 1 and line[1].isdecimal()}
