"""GPUs that torch can't use and machines without an address are named, with what to do."""

import os
import socket
import threading
from pathlib import Path

import pytest
import torch

from pipeline.errors import MisuseError
from trainer.distributed import machine
from trainer.distributed.machine import choose_device, has_kernels, name_interface

WHEEL = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_120", "compute_120"]


@pytest.mark.parametrize(
    ("capability", "archs", "expected"),
    [
        ((6, 0), WHEEL, False),
        ((7, 0), WHEEL, False),
        ((7, 5), WHEEL, True),
        ((8, 9), WHEEL, True),
        ((9, 0), WHEEL, True),
        ((12, 1), WHEEL, True),
        ((13, 0), WHEEL, True),
        ((10, 0), WHEEL, False),
        ((10, 0), ["sm_90a"], False),
        ((9, 0), ["sm_90a"], True),
        ((9, 4), ["gfx942"], True),
        ((9, 0), [], True),
    ],
)
def test_kernels_for_a_gpu(capability: tuple[int, int], archs: list[str], expected: bool) -> None:
    assert has_kernels(capability, archs) is expected


def gpu(monkeypatch: pytest.MonkeyPatch, *, count: int, capability: tuple[int, int]) -> None:
    for name, value in (
        ("is_available", count > 0),
        ("device_count", count),
        ("get_device_capability", capability),
        ("get_arch_list", WHEEL),
        ("get_device_name", "Tesla P100"),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)


@pytest.mark.parametrize("kind", ["auto", "cuda"])
def test_a_gpu_without_kernels_is_named(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    gpu(monkeypatch, count=1, capability=(6, 0))
    with pytest.raises(MisuseError) as caught:
        choose_device(kind, 0, 1)
    for part in ("Tesla P100", "capability 6.0", "sm_75, sm_80", "Give --device cpu"):
        assert part in caught.value.message
    assert choose_device("cpu", 0, 1) == torch.device("cpu")
    gpu(monkeypatch, count=1, capability=(8, 0))
    assert choose_device(kind, 0, 1) == torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("cuda", "visible", "text"),
    [
        (None, None, "is built for the CPU"),
        ("13.0", None, "too old for CUDA 13.0"),
        ("13.0", "0", "too old for CUDA 13.0"),
        ("13.0", "", ""),
        ("13.0", "-1", ""),
    ],
)
def test_a_driver_whose_gpu_torch_does_not_see(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    cuda: str | None,
    visible: str | None,
    text: str,
) -> None:
    gpu(monkeypatch, count=0, capability=(0, 0))
    (tmp_path / "version").touch()
    monkeypatch.setattr(machine, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert choose_device("auto", 1, 2) == torch.device("cpu") and not capsys.readouterr().err
    assert choose_device("auto", 0, 2) == torch.device("cpu")
    said = capsys.readouterr().err
    assert (text in said and "--device cpu" in said) if text else not said
    with pytest.raises(MisuseError, match=r"torch finds no GPU on this machine.*--device cpu") as e:
        choose_device("cuda", 0, 1)
    assert text in e.value.message
    monkeypatch.setattr(machine, "DRIVER", tmp_path / "nothing")
    choose_device("auto", 0, 1)
    assert not capsys.readouterr().err


def unknown(name: str) -> object:
    raise socket.gaierror(-2, "Name or service not known")


def test_a_name_without_an_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    name_interface(0, unknown)
    assert os.environ["GLOO_SOCKET_IFNAME"] == "eth7" and not capsys.readouterr().err
    monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    name_interface(0, lambda name: [name])
    assert "GLOO_SOCKET_IFNAME" not in os.environ
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    with pytest.raises(MisuseError, match=r"Name or service not known.*GLOO_SOCKET_IFNAME=eth0"):
        name_interface(0, unknown)
    monkeypatch.setenv("GROUP_WORLD_SIZE", "1")
    monkeypatch.setattr(machine, "NAME_SECONDS", 0)
    name_interface(0, lambda name: threading.Event().wait())
    assert os.environ["GLOO_SOCKET_IFNAME"] == "lo"
    said = capsys.readouterr().err
    assert "no answer in 0 s" in said and "set GLOO_SOCKET_IFNAME for another" in said
