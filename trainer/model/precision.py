"""Precision of a step: autocast type, TF32, and loss scaling."""

from pathlib import Path

import torch
from torch import nn

BF16_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}


def autocast_dtype(precision: str, device: torch.device, model: nn.Module) -> torch.dtype | None:
    """The autocast type of `model` on `device`; None for float32 throughout.

    "auto" on GPUs is ``gpu_dtype``. On x86 CPUs with bfloat16 instructions it is bfloat16, but not
    for models with depthwise convolutions. Training speed in bfloat16 relative to float32 on one
    core with avx512_bf16, at 64 px: resnet50 1.6, resnet18 1.7, resnext50 1.6, densenet121 1.5,
    vit_b_16 1.6, swin_t 2.0, vgg11 1.2; with depthwise convolutions mobilenet_v3_small 0.46,
    mnasnet0_5 0.46, efficientnet_b0 0.52, shufflenet_v2 0.64, but convnext_tiny 1.35.
    """
    if precision != "auto":
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        return gpu_dtype(capability, torch.cuda.get_device_name(device))
    is_faster = bool(_cpu_flags() & BF16_CPU_FLAGS) and not has_depthwise_convolutions(model)
    return torch.bfloat16 if is_faster else None


def gpu_dtype(capability: tuple[int, int], name: str) -> torch.dtype | None:
    """The autocast type that "auto" takes on a GPU by its compute capability: bfloat16 from 8.0 on,
    the first with such tensor cores; else float16, if that is faster than float32.

    float16 results per clock cycle and multiprocessor, float32 in parentheses (CUDA C++ Programming
    Guide 12, table "Throughput of Native Arithmetic Instructions"): 5.0 and 5.2 none, 6.0 128 (64),
    6.1 2 (128), 7.x 128 (64), besides the tensor cores of 7.x. The GTX 16 cards, 7.5 without tensor
    cores, compute nan in float16 convolutions (pytorch#58123, pytorch#77955).
    """
    if capability >= (8, 0):
        return torch.bfloat16
    is_fast = capability == (6, 0) or capability >= (7, 0)
    return torch.float16 if is_fast and "GTX 16" not in name else None


def precision_line(precision: str, device: torch.device, dtype: torch.dtype | None) -> str | None:
    """Why "auto" took `dtype` on an older GPU, for the startup message; None if there is no need to
    say so."""
    if precision != "auto" or device.type != "cuda" or dtype is torch.bfloat16:
        return None
    major, minor = torch.cuda.get_device_capability(device)
    taken = "float16 with loss scaling" if dtype else "float32"
    return (
        f"--precision auto takes {taken}: {torch.cuda.get_device_name(device)} has compute "
        f"capability {major}.{minor}, bfloat16 needs 8.0."
    )


def dtype_name(dtype: torch.dtype | None) -> str:
    """The name of an autocast type, "float32" for None."""
    return str(dtype or torch.float32).removeprefix("torch.")


def set_float32(precision: str) -> None:
    """Set how CUDA multiplies float32, for the whole process: "tf32" rounds factors to 10 bits of
    mantissa, "fp32" keeps all 23. torch's default is to round only in convolutions."""
    if precision in ("fp32", "tf32"):
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def loss_scaler(device: torch.device, dtype: torch.dtype | None) -> torch.amp.GradScaler:
    """A scaler that keeps small float16 gradients from becoming 0 (Micikevicius et al. 2018,
    arXiv:1710.03740); disabled for other types."""
    return torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)


def has_depthwise_convolutions(model: nn.Module) -> bool:
    return any(
        isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
        for module in model.modules()
    )


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    # The same on every core.
    return set(next((line for line in lines if line.startswith("flags")), "").split())
