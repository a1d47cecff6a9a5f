"""Pin ranks to cores of their own."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.limits.cores import rank_cores


def pin(local_rank: int, *, cores_per_rank: int | None, on_gpu: bool) -> list[int]:
    """Pin this process, and the threads that it will start, to its cores, and return these.

    With a GPU they are an equal share of the cores next to it, which the kernel reports, and no
    more than an equal share of a quota; without, one core by default.
    """
    available = sorted(os.sched_getaffinity(0))
    if on_gpu:
        near = [_near(gpu, available) for gpu in range(torch.cuda.device_count())]
        cores = gpu_share(near, local_rank)[: cores_per_rank or rank_cores()]
    else:
        cores = cpu_share(available, local_rank, cores_per_rank or 1)
    os.sched_setaffinity(0, cores)
    torch.set_num_threads(len(cores))
    return cores


def cpu_share(cores: Sequence[int], local_rank: int, count: int) -> list[int]:
    """`count` of `cores` for a rank; ranks after the last core start again at the first."""
    first = local_rank * count
    return sorted({cores[index % len(cores)] for index in range(first, first + count)})


def gpu_share(near: Sequence[Sequence[int]], gpu: int) -> list[int]:
    """An equal share of the cores next to `gpu`; `near` has the cores next to each GPU."""
    neighbors = [other for other, cores in enumerate(near) if list(cores) == list(near[gpu])]
    count = max(1, len(near[gpu]) // len(neighbors))
    return cpu_share(near[gpu], neighbors.index(gpu), count)


def parse_cores(text: str) -> list[int]:
    """Parse a list of the kernel: "0-3,8" is [0, 1, 2, 3, 8]."""
    cores: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        cores += range(int(first), int(last or first) + 1)
    return cores


def _near(gpu: int, available: Sequence[int]) -> list[int]:
    """Those of `available` next to `gpu`; all of them if the kernel does not report it."""
    properties: Any = torch.cuda.get_device_properties(gpu)
    try:
        # torch.numa.binding finds the node of a GPU by this address.
        bus, device = properties.pci_bus_id, properties.pci_device_id
        address = f"{properties.pci_domain_id:04x}:{bus:02x}:{device:02x}.0"
        text = Path(f"/sys/bus/pci/devices/{address}/local_cpulist").read_text()
    except (AttributeError, OSError):
        return list(available)
    return sorted(set(parse_cores(text)) & set(available)) or list(available)
