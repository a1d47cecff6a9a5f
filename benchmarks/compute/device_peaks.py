"""Peak performance of devices according to their makers."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Peak:
    """`tflops` by precision, for dense matrices: data sheets often state twice as much, for sparse
    ones."""

    tflops: dict[str, float]
    memory_gb_per_second: float


def _ampere_or_later(half: float, tf32: float, fp32: float, memory: float) -> Peak:
    tflops = {"bf16": half, "fp16": half, "tf32": tf32, "fp32": fp32}
    return Peak(tflops=tflops, memory_gb_per_second=memory)


# By the prefix of CUDA's name that all variants of the same speed share. Sources: NVIDIA's data
# sheets of each GPU; Hopper also "NVIDIA H100 Tensor Core GPU Architecture", v1.04,
# table 3.
PEAKS = {
    "NVIDIA H200": _ampere_or_later(989.4, 494.7, 66.9, 4800),
    "NVIDIA H100 80GB HBM3": _ampere_or_later(989.4, 494.7, 66.9, 3350),
    "NVIDIA H100 PCIe": _ampere_or_later(756, 378, 51.2, 2000),
    "NVIDIA A100-SXM4-80GB": _ampere_or_later(312, 156, 19.5, 2039),
    "NVIDIA A100 80GB PCIe": _ampere_or_later(312, 156, 19.5, 1935),
    "NVIDIA A100-SXM4-40GB": _ampere_or_later(312, 156, 19.5, 1555),
    "NVIDIA A100-PCIE-40GB": _ampere_or_later(312, 156, 19.5, 1555),
    "NVIDIA L40S": _ampere_or_later(362, 183, 91.6, 864),
    "NVIDIA A10": _ampere_or_later(125, 62.5, 31.2, 600),
    "NVIDIA L4": _ampere_or_later(121, 60, 30.3, 300),
    "Tesla V100-SXM2": Peak(tflops={"fp16": 125, "fp32": 15.7}, memory_gb_per_second=900),
    "Tesla T4": Peak(tflops={"fp16": 65, "fp32": 8.1}, memory_gb_per_second=320),
}
# Names that are also prefixes of the names of other devices.
_FULL_NAMES = {"NVIDIA L4", "NVIDIA A10", "NVIDIA H200"}


def peak_of(device_name: str) -> Peak | None:
    """The peak of a device by CUDA's name of it; None if it is unknown."""
    for name, peak in PEAKS.items():
        if device_name == name or (device_name.startswith(name) and name not in _FULL_NAMES):
            return peak
    return None
