"""Peak performance of devices according to their maker."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Peak:
    """Highest rates of a device.

    Attributes:
        tflops: by precision, for dense matrices, in TFLOP/s: data sheets often state twice as much,
            for sparse ones. float16 and bfloat16 with sums in float32, as torch computes: GeForce
            cards have half the rate for these.
        source: where NVIDIA states them.
    """

    tflops: dict[str, float]
    memory_gb_per_second: float
    source: str


def _before_ampere(half: float, fp32: float, memory: float, source: str) -> Peak:
    """Without bfloat16 and TF32."""
    tflops = {"fp16": half, "fp32": fp32}
    return Peak(tflops=tflops, memory_gb_per_second=memory, source=source)


def _peak(half: float, tf32: float, fp32: float, memory: float, source: str) -> Peak:
    tflops = {"bf16": half, "fp16": half, "tf32": tf32, "fp32": fp32}
    return Peak(tflops=tflops, memory_gb_per_second=memory, source=source)


_P100 = "NVIDIA Tesla P100 data sheet, PCIe"
_V100 = "NVIDIA V100 Tensor Core GPU data sheet"
_A100 = "NVIDIA A100 Tensor Core GPU data sheet"
_GA102 = "NVIDIA Ampere GA102 GPU Architecture, v2.0, appendices A and C"
_ADA = "NVIDIA Ada GPU Architecture, appendix A"
_RTX_BLACKWELL = "NVIDIA RTX Blackwell GPU Architecture, appendix A"
_HOPPER = "NVIDIA H100 Tensor Core GPU Architecture, v1.04, table 3"
_GH200 = f"{_HOPPER}, the same processors; memory: NVIDIA GH200 Grace Hopper data sheet"

# By CUDA's name of the device without "NVIDIA ", which drivers before 470 leave out. Devices with
# similar names, such as A10G, H100 NVL, V100S, RTX 3090 Ti and laptop GPUs, have other rates.
PEAKS = {
    "Tesla P100-SXM2-16GB": _before_ampere(21.2, 10.6, 732, "NVIDIA Tesla P100 data sheet, NVLink"),
    "Tesla P100-PCIE-16GB": _before_ampere(18.7, 9.3, 732, _P100),
    "Tesla P100-PCIE-12GB": _before_ampere(18.7, 9.3, 549, _P100),
    "Tesla V100-SXM2-16GB": _before_ampere(125, 15.7, 900, _V100),
    "Tesla V100-SXM2-32GB": _before_ampere(125, 15.7, 900, _V100),
    "Tesla V100-PCIE-16GB": _before_ampere(112, 14, 900, _V100),
    "Tesla V100-PCIE-32GB": _before_ampere(112, 14, 900, _V100),
    "Tesla T4": _before_ampere(65, 8.1, 320, "NVIDIA T4 data sheet"),
    "A100-SXM4-80GB": _peak(312, 156, 19.5, 2039, _A100),
    "A100 80GB PCIe": _peak(312, 156, 19.5, 1935, _A100),
    "A100-SXM4-40GB": _peak(312, 156, 19.5, 1555, _A100),
    "A100-PCIE-40GB": _peak(312, 156, 19.5, 1555, _A100),
    "A10": _peak(125, 62.5, 31.2, 600, "NVIDIA A10 Tensor Core GPU data sheet"),
    "RTX A6000": _peak(154.8, 77.4, 38.7, 768, _GA102),
    "GeForce RTX 3090": _peak(71, 35.6, 35.6, 936, _GA102),
    "GeForce RTX 4090": _peak(165.2, 82.6, 82.6, 1008, _ADA),
    "GeForce RTX 5090": _peak(209.5, 104.8, 104.8, 1792, _RTX_BLACKWELL),
    "L4": _peak(121, 60, 30.3, 300, "NVIDIA L4 data sheet, half of its sparse rates"),
    "L40S": _peak(362, 183, 91.6, 864, "NVIDIA L40S data sheet"),
    "H100 80GB HBM3": _peak(989.4, 494.7, 66.9, 3350, _HOPPER),
    "H100 PCIe": _peak(756, 378, 51.2, 2000, _HOPPER),
    "H200": _peak(
        989.4, 494.7, 66.9, 4800, f"{_HOPPER}, the same processors; memory: NVIDIA H200 data sheet"
    ),
    "GH200 480GB": _peak(989.4, 494.7, 66.9, 4000, _GH200),
    "GH200 144G HBM3e": _peak(989.4, 494.7, 66.9, 4900, _GH200),
    "B200": _peak(
        2250,
        1100,
        75,
        7700,
        "NVIDIA Blackwell data sheet, a GPU of HGX B200, half of its sparse rates",
    ),
}


def peak_of(device_name: str) -> Peak | None:
    """The peak of a device by CUDA's name of it; None if it is unknown."""
    return PEAKS.get(device_name.removeprefix("NVIDIA "))
