"""Duration of a step, and utilization of the device, from a training rate."""

import platform
from collections.abc import Mapping, Sequence

import torch

from benchmarks.compute.device_peaks import Peak, peak_of
from benchmarks.compute.steps import Steps
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.table import ColumnFormats
from benchmarks.measuring.text import figure

Figures = dict[str, float | None]

COLUMNS: ColumnFormats = {
    "step_seconds": ("step, ms", 1e3, ",.1f"),
    "tflops": ("TFLOP/s", 1, ",.3g"),
    "mfu": ("MFU", 1, ".1%"),
    "memory_gb_per_second": ("memory, GB/s", 1, ",.3g"),
    "memory_roofline": ("of memory peak", 1, ".1%"),
    "peak_memory_bytes": ("peak memory, GB", 1e-9, ",.2f"),
}


def device_name(device: torch.device) -> str:
    """The name that CUDA gives, or the machine's architecture."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def utilization(steps: Steps, rate: float, precision: str) -> Figures:
    """Figures of one rank, from the world's `rate` in images/s; None where the peak of the device
    is unknown.

    `mfu`: floating point operations of forward and backward over the peak; `memory_roofline`: the
    least bytes that these must move over the peak of the memory.
    """
    model, world = steps.model, steps.model.world
    per_rank = rate / world.world_size
    steps_per_second = per_rank / steps.batch_size
    flops = per_rank * model.work.flops_per_image
    step_bytes = model.work.bytes_of(steps.batch_size)
    moved = steps_per_second * step_bytes
    peak = peak_of(device_name(world.device))
    tflops = peak_tflops(peak, model.update.dtype, precision)
    return {
        "step_seconds": 1 / steps_per_second,
        "tflops": flops / 1e12,
        "memory_gb_per_second": moved / 1e9,
        "mfu": None if tflops is None else flops / (1e12 * tflops),
        "memory_roofline": None if peak is None else moved / (1e9 * peak.memory_gb_per_second),
        "peak_memory_bytes": steps.peak_bytes,
        "gflop_per_image": model.work.flops_per_image / 1e9,
        "mb_per_image": step_bytes / steps.batch_size / 1e6,
    }


def peak_tflops(peak: Peak | None, dtype: torch.dtype | None, precision: str) -> float | None:
    """The peak for matrix products under autocast to `dtype`."""
    if peak is None:
        return None
    names = {torch.bfloat16: "bf16", torch.float16: "fp16"}
    name = names[dtype] if dtype else "tf32" if precision == "tf32" else "fp32"
    return peak.tflops.get(name)


def describe_ceiling(rows: Sequence[Measurement], figures: Mapping[str, Figures]) -> str:
    """The highest training rate without input, and its utilization of the device."""
    best = max(rows, key=lambda row: row.median)
    row = figures[best.name]
    sentence = (
        f"Without input the model trains at most {figure(best.median)} images/s ({best.interval}), "
        f"with {best.name}: {row['tflops']:.3g} TFLOP/s"
    )
    if row["mfu"] is None:
        return f"{sentence}; the peak of this device is unknown."
    memory = row["memory_roofline"] or 0.0
    return f"{sentence}, {row['mfu']:.0%} of the device's peak, and {memory:.0%} of its memory's."
