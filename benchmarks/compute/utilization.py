"""What a rate of training means: time of a step, and shares of what the device can do at most."""

import platform
from collections.abc import Mapping, Sequence

import torch

from benchmarks.compute.device_peaks import Peak, peak_of
from benchmarks.compute.steps import Steps
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.table import ColumnFormats
from benchmarks.measuring.text import figure

Figures = dict[str, float | None]


def device_name(device: torch.device) -> str:
    """As CUDA says, or the machine's architecture."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def figures_of(steps: Steps, rate: float, precision: str) -> Figures:
    """Beside the world's `rate` in images/s: of one rank, None where the device's peak isn't
    known.

    `mfu`: floating point operations of forward and backward over the peak; `memory_roofline`: the
    least bytes that these must move over the memory's peak.
    """
    trained = steps.trained
    world = trained.world
    per_rank = rate / world.world_size
    steps_per_second = per_rank / steps.batch_size
    flops = per_rank * trained.work.flops_per_image
    moved = steps_per_second * trained.work.bytes_of(steps.batch_size)
    peak = (
        peak_of(torch.cuda.get_device_name(world.device)) if world.device.type == "cuda" else None
    )
    tflops = peak_tflops(peak, trained.update.dtype, precision)
    return {
        "step_seconds": 1 / steps_per_second,
        "tflops": flops / 1e12,
        "memory_gb_per_second": moved / 1e9,
        "mfu": None if tflops is None else flops / (1e12 * tflops),
        "memory_roofline": None if peak is None else moved / (1e9 * peak.memory_gb_per_second),
        "peak_memory_bytes": steps.peak_bytes,
        "gflop_per_image": trained.work.flops_per_image / 1e9,
        "mb_per_image": trained.work.bytes_of(steps.batch_size) / steps.batch_size / 1e6,
    }


def peak_tflops(peak: Peak | None, dtype: torch.dtype | None, precision: str) -> float | None:
    """Of the type that products are computed in."""
    if peak is None:
        return None
    names = {torch.bfloat16: "bf16", torch.float16: "fp16"}
    name = names[dtype] if dtype else "tf32" if precision == "tf32" else "fp32"
    return peak.tflops.get(name)


COLUMNS: ColumnFormats = {
    "step_seconds": ("step, ms", 1e3, ",.1f"),
    "tflops": ("TFLOP/s", 1, ",.3g"),
    "mfu": ("MFU", 1, ".1%"),
    "memory_gb_per_second": ("memory, GB/s", 1, ",.3g"),
    "memory_roofline": ("of memory peak", 1, ".1%"),
    "peak_memory_bytes": ("peak memory, GB", 1e-9, ",.2f"),
}


def find_ceiling(rows: Sequence[Measurement], figures: Mapping[str, Figures]) -> str:
    """The sentence: the most that training can take, and how near that is to the device's."""
    best = max(rows, key=lambda row: row.median)
    of = figures[best.name]
    span = f"{figure(best.interval.low)} to {figure(best.interval.high)}"
    sentence = (
        f"The model takes at most {figure(best.median)} images/s ({span}), with {best.name}: "
        f"{of['tflops']:.3g} TFLOP/s"
    )
    if of["mfu"] is None:
        return f"{sentence}; this device's peak isn't known."
    memory = of["memory_roofline"] or 0.0
    return f"{sentence}, {of['mfu']:.0%} of the device's peak, and {memory:.0%} of its memory's."
