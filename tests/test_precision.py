"""bfloat16 where it pays."""

import pytest
import torch
import torchvision

import trainer.precision
from trainer.precision import autocast_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flags", "model", "dtype"),
    [
        ({"avx512_bf16"}, "resnet18", torch.bfloat16),
        ({"amx_bf16"}, "resnext50_32x4d", torch.bfloat16),
        ({"avx512_bf16"}, "mobilenet_v3_small", None),
        ({"avx512f"}, "resnet18", None),
        (set(), "resnet18", None),
    ],
)
def test_auto_on_cpus(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], model: str, dtype: torch.dtype | None
) -> None:
    monkeypatch.setattr(trainer.precision, "_cpu_flags", lambda: flags)
    assert autocast_dtype("auto", CPU, torchvision.models.get_model(model)) is dtype


def test_what_is_asked_for_is_taken() -> None:
    model = torchvision.models.get_model("squeezenet1_1")
    assert autocast_dtype("fp32", CPU, model) is None
    assert autocast_dtype("bf16", CPU, model) is torch.bfloat16
