"""Precision of a step: autocast type, TF32, and loss scaling."""

from pathlib import Path

import torch
from torch import nn

BF16_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}


def autocast_dtype(precision: str, device: torch.device, model: nn.Module) -> torch.dtype | None:
    """The autocast type of `model` on `device`; None for float32 throughout.

    "auto" is bfloat16 on GPUs and x86 CPUs with bfloat16 instructions, but on CPUs not for models
    with depthwise convolutions. Training speed in bfloat16 relative to float32 on one core with
    avx512_bf16, at 64 px: resnet50 1.6, resnet18 1.7, resnext50 1.6, densenet121 1.5, vit_b_16 1.6,
    swin_t 2.0, vgg11 1.2; with depthwise convolutions mobilenet_v3_small 0.46, mnasnet0_5 0.46,
    efficientnet_b0 0.52, shufflenet_v2 0.64, but convnext_tiny 1.35.
    """
    if precision != "auto":
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    if device.type == "cuda":
        is_faster = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        is_faster = bool(_cpu_flags() & BF16_CPU_FLAGS) and not has_depthwise_convolutions(model)
    return torch.bfloat16 if is_faster else None


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
