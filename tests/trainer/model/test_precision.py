"""Choice of the autocast type, loss scaling, and float32 products."""

import pytest
import torch
import torchvision
from torch import nn

import trainer.model.precision
from trainer.model.precision import autocast_dtype, loss_scaler, precision_line, set_float32
from trainer.train_step import TrainStep

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
    monkeypatch.setattr(trainer.model.precision, "_cpu_flags", lambda: flags)
    assert autocast_dtype("auto", CPU, torchvision.models.get_model(model)) is dtype


@pytest.mark.parametrize(
    ("capability", "name", "dtype"),
    [
        ((5, 2), "Tesla M40", None),
        ((6, 0), "Tesla P100-PCIE-16GB", torch.float16),
        ((6, 1), "Tesla P40", None),
        ((7, 0), "Tesla V100-SXM2-16GB", torch.float16),
        ((7, 5), "Tesla T4", torch.float16),
        ((7, 5), "NVIDIA GeForce GTX 1660 Ti", None),
        ((8, 0), "NVIDIA A100-SXM4-40GB", torch.bfloat16),
        ((9, 0), "NVIDIA H200", torch.bfloat16),
        ((12, 0), "NVIDIA GeForce RTX 5090", torch.bfloat16),
    ],
)
def test_auto_on_gpus(
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    name: str,
    dtype: torch.dtype | None,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    gpu = torch.device("cuda", 0)
    assert autocast_dtype("auto", gpu, nn.Identity()) is dtype
    line = precision_line("auto", gpu, dtype)
    assert (line is None) == (dtype is torch.bfloat16)
    if line is not None:
        major, minor = capability
        assert f"{name} has compute capability {major}.{minor}" in line
        assert ("float16 with loss scaling" in line) == (dtype is torch.float16)


def test_nothing_is_said_of_a_cpu_or_an_explicit_precision() -> None:
    assert precision_line("auto", CPU, None) is None
    assert precision_line("fp16", torch.device("cuda", 0), torch.float16) is None


def test_an_explicit_precision_is_used() -> None:
    model = torchvision.models.get_model("squeezenet1_1")
    assert autocast_dtype("fp32", CPU, model) is None
    assert autocast_dtype("tf32", CPU, model) is None
    assert autocast_dtype("bf16", CPU, model) is torch.bfloat16
    assert autocast_dtype("fp16", CPU, model) is torch.float16


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
def test_trains_in_every_precision(dtype: torch.dtype | None) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, fused=True)
    scaler = loss_scaler(CPU, dtype)
    train_step = TrainStep(
        model=model, optimizer=optimizer, dtype=dtype, scaler=scaler, grad_clip_norm=1.0
    )
    images, labels = torch.randn(12, 3, 4, 4), torch.arange(12) % 3
    losses = [train_step(images, labels, 0.1).item() for _ in range(20)]
    assert losses[-1] < 0.7 * losses[0]
    assert next(model.parameters()).dtype is torch.float32
    assert bool(scaler.state_dict()) == (dtype is torch.float16)


def test_an_overflow_skips_the_step_and_halves_the_scale() -> None:
    model = nn.Linear(1, 2)
    before = model.weight.detach().clone()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    train_step = TrainStep(
        model=model, optimizer=optimizer, dtype=torch.float16, scaler=scaler, grad_clip_norm=1.0
    )
    loss = train_step(torch.ones(2, 1), torch.tensor([0, 1]), 0.1)
    assert loss.isfinite()
    assert torch.equal(model.weight, before)
    assert scaler.get_scale() == 2.0**119


@pytest.mark.parametrize(("precision", "rounds"), [("fp32", False), ("tf32", True)])
def test_sets_the_precision_of_float32(precision: str, rounds: bool) -> None:
    backends = (torch.backends.cudnn, torch.backends.cuda.matmul)
    saved = [backend.allow_tf32 for backend in backends]
    try:
        set_float32(precision)
        assert [backend.allow_tf32 for backend in backends] == [rounds, rounds]
    finally:
        for backend, value in zip(backends, saved, strict=True):
            backend.allow_tf32 = value
