"""Ranks kept to cores of their own, so that one doesn't run on another's."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


def pin(local_rank: int, *, cores_per_rank: int | None, on_gpu: bool) -> list[int]:
    """Keep this process, and the threads that it will start, to its cores, and return them.

    On a GPU they are its share of the cores beside that, as the kernel says; else one by default.
    """
    available = sorted(os.sched_getaffinity(0))
    if on_gpu:
        near = [_near(number, available) for number in range(torch.cuda.device_count())]
        cores = gpu_share(near, local_rank)[:cores_per_rank]
    else:
        cores = cpu_share(available, local_rank, cores_per_rank or 1)
    os.sched_setaffinity(0, cores)
    torch.set_num_threads(len(cores))
    return cores


def cpu_share(cores: Sequence[int], local_rank: int, count: int) -> list[int]:
    """`count` cores of a rank; ranks beyond the last core begin anew with the first."""
    first = local_rank * count
    return sorted({cores[place % len(cores)] for place in range(first, first + count)})


def gpu_share(near: Sequence[Sequence[int]], number: int) -> list[int]:
    """The cores of GPU `number`: an equal part of those that lie `near` it, by GPU."""
    own = near[number]
    beside = [other for other, cores in enumerate(near) if list(cores) == list(own)]
    count = max(1, len(own) // len(beside))
    return cpu_share(own, beside.index(number), count)


def parse_cores(text: str) -> list[int]:
    """The kernel's lists, such as "0-3,8": [0, 1, 2, 3, 8]."""
    cores: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        cores += range(int(first), int(last or first) + 1)
    return cores


def _near(number: int, available: Sequence[int]) -> list[int]:
    """Those of `available` that are near the GPU; all where the kernel doesn't tell."""
    gpu: Any = torch.cuda.get_device_properties(number)
    try:
        # As torch.numa.binding finds the node of a GPU.
        address = f"{gpu.pci_domain_id:04x}:{gpu.pci_bus_id:02x}:{gpu.pci_device_id:02x}.0"
        text = Path(f"/sys/bus/pci/devices/{address}/local_cpulist").read_text()
    except (AttributeError, OSError):
        return list(available)
    return sorted(set(parse_cores(text)) & set(available)) or list(available)
