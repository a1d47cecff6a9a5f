"""Memory and cores that a rank may use."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Of what is free: --cache auto leaves most to the training, --cache host or device what is usual.
SHARES = {"auto": 0.25, "host": 0.75, "device": 0.5}


def memory_for(asked: str, where: "torch.device") -> int:
    """Bytes that --cache `asked` may take on `where`, for this rank."""
    if where.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(where)
    else:
        free = available_bytes() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return int(SHARES[asked] * free)


def available_bytes(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory that new programs can have: what the machine has free, or the container's limit
    leaves if that is less."""
    lines = (proc / "meminfo").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    free = int(facts["MemAvailable"].split()[0]) * 1024
    for limit, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            stat = (cgroups / limit).with_name("memory.stat").read_text().split()
            reclaimable = int(stat[stat.index(cache) + 1])
            most, now = (int((cgroups / name).read_text()) for name in (limit, used))
        except (OSError, ValueError):  # none, or "max"
            continue
        free = min(free, max(0, most - now + reclaimable))
    return free


def available_cores() -> int:
    """The cores that this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0))
