"""Memory and cores that a rank may use."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Fraction of the free memory: --cache auto leaves most of it to the training.
FREE_FRACTIONS = {"auto": 0.25, "host": 0.75, "device": 0.5}


def memory_for_cache(mode: str, device: "torch.device") -> int:
    """Bytes that --cache `mode` may use for this rank on `device`, the CPU for host memory."""
    if device.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = available_bytes() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return int(FREE_FRACTIONS[mode] * free)


def available_bytes(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Free memory in bytes: the machine's, or what is left below the container's limit if that is
    less."""
    words = (proc / "meminfo").read_text().split()
    free = int(words[words.index("MemAvailable:") + 1]) * 1024
    for limit, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            stat = (cgroups / limit).with_name("memory.stat").read_text().split()
            reclaimable = int(stat[stat.index(cache) + 1])
            limit_bytes, used_bytes = (int((cgroups / name).read_text()) for name in (limit, used))
        except (OSError, ValueError):  # no limit, or "max"
            continue
        free = min(free, max(0, limit_bytes - used_bytes + reclaimable))
    return free


def available_cores() -> int:
    """CPU cores that this process may run on, possibly fewer than the machine has."""
    return len(os.sched_getaffinity(0))
