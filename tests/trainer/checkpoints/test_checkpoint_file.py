"""Checkpoints: written atomically, kept or deleted, and rejected if they belong to another run."""

import dataclasses
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import mnasnet0_5

from pipeline.errors import DataError
from trainer.checkpoints.checkpoint_file import load_checkpoint, snapshot, write_checkpoint
from trainer.checkpoints.progress import Identity, Progress
from trainer.checkpoints.retention import CheckpointManager

IDENTITY = Identity(fingerprint="abc", seed=3, model="toy", classes=2)
PROGRESS = Progress(position=640, evaluated_position=512, best={"top1": 0.5, "top5": 0.75})


def trained() -> tuple[nn.Module, torch.optim.Optimizer]:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(
        memory_format=torch.channels_last
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.25)
    network(torch.randn(2, 3, 5, 5)).square().sum().backward()
    optimizer.step()
    return network, optimizer


def save(path: Path) -> tuple[nn.Module, torch.optim.Optimizer]:
    network, optimizer = trained()
    write_checkpoint(path, state_of(network, optimizer))
    return network, optimizer


def state_of(
    network: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress = PROGRESS
) -> dict[str, Any]:
    return snapshot(
        network=network,
        optimizer=optimizer,
        progress=progress,
        identity=IDENTITY,
        config={"epochs": 2.0, "out": None, "crop_area": (0.08, 1.0)},
    )


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b) and a.stride() == b.stride()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def test_saves_and_restores(tmp_path: Path) -> None:
    network, optimizer = save(tmp_path / "checkpoint.pt")
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt", IDENTITY)
    assert checkpoint.progress == PROGRESS
    assert checkpoint.config["epochs"] == 2.0
    other, other_optimizer = trained()
    other_optimizer.param_groups[0]["weight_decay"] = 0.125
    checkpoint.restore(network=other, optimizer=other_optimizer)
    assert same(other.state_dict(), network.state_dict())
    assert same(other_optimizer.state_dict()["state"], optimizer.state_dict()["state"])
    assert other_optimizer.param_groups[0]["weight_decay"] == 0.125


def test_restores_a_network_that_needs_the_version_of_its_state_dict(tmp_path: Path) -> None:
    network, other = (mnasnet0_5(num_classes=2) for _ in range(2))
    optimizer = torch.optim.SGD(network.parameters())
    write_checkpoint(tmp_path / "checkpoint.pt", state_of(network, optimizer))
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt", IDENTITY)
    checkpoint.restore(network=other, optimizer=torch.optim.SGD(other.parameters()))
    assert same(other.state_dict(), network.state_dict())


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path)
    before = path.read_bytes()

    def full_disk(state: object, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(DataError, match=r"Cannot write .*checkpoint\.pt \(No space left"):
        save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_rejects_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"Cannot read .*checkpoint\.pt"):
        load_checkpoint(path, IDENTITY)


def test_rejects_other_contents(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(DataError, match="Cannot read"):
        load_checkpoint(path, IDENTITY)
    torch.save({"version": 99}, path)
    with pytest.raises(DataError, match="version 99"):
        load_checkpoint(path, IDENTITY)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"fingerprint": "def"}, "other shards"),
        ({"seed": 4}, "--seed 3"),
        ({"model": "resnet50"}, "another model, toy: give it with --model"),
        ({"classes": 5}, "other shards"),
    ],
)
def test_rejects_a_checkpoint_of_another_run(
    tmp_path: Path, change: dict[str, Any], advice: str
) -> None:
    save(tmp_path / "checkpoint.pt")
    with pytest.raises(DataError, match=advice):
        load_checkpoint(tmp_path / "checkpoint.pt", dataclasses.replace(IDENTITY, **change))


def open_manager(directory: Path, keep: int = 2) -> CheckpointManager:
    return CheckpointManager(directory, keep=keep, minutes=0, writes=True)


def position_of(path: Path) -> int:
    return load_checkpoint(path, IDENTITY).progress.position


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_keeps_the_latest_and_the_best(tmp_path: Path) -> None:
    network, optimizer = trained()
    with open_manager(tmp_path) as checkpoints:
        for position in (8, 16, 24):
            state = state_of(network, optimizer, Progress(position=position))
            checkpoints.save(lambda state=state: state, best=position == 8)  # type: ignore[misc]
    kept = ["checkpoint-000000000016.pt", "checkpoint-000000000024.pt"]
    assert names(tmp_path) == ["best.pt", *kept, "checkpoint.pt"]
    assert [position_of(tmp_path / name) for name in names(tmp_path)] == [8, 16, 24, 24]
    # A run that resumes from an earlier checkpoint and keeps one.
    with open_manager(tmp_path, keep=1) as checkpoints:
        checkpoints.save(lambda: state_of(network, optimizer, Progress(position=20)), best=False)
    assert names(tmp_path) == ["best.pt", "checkpoint.pt"]
    assert position_of(tmp_path / "checkpoint.pt") == 20


def test_later_steps_do_not_change_a_pending_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, optimizer = trained()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    may_write, original = threading.Event(), torch.save

    def slow(*arguments: Any) -> None:
        assert may_write.wait(60)
        original(*arguments)

    monkeypatch.setattr(torch, "save", slow)
    with open_manager(tmp_path) as checkpoints:
        checkpoints.save(lambda: state_of(network, optimizer), best=False)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 1
        may_write.set()
    assert same(load_checkpoint(tmp_path / "checkpoint.pt", IDENTITY).network, before)


def test_raises_a_failure_of_the_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, optimizer = trained()
    with (
        pytest.raises(DataError, match=r"No space left"),
        open_manager(tmp_path) as checkpoints,
        monkeypatch.context() as patch,
    ):
        patch.setattr(os, "fsync", fail)
        checkpoints.save(lambda: state_of(network, optimizer), best=False)
        checkpoints.save(lambda: state_of(network, optimizer), best=False)
    with pytest.raises(KeyError), open_manager(tmp_path) as checkpoints:
        checkpoints.save(lambda: state_of(network, optimizer), best=False)
        raise KeyError
    assert position_of(tmp_path / "checkpoint.pt") == PROGRESS.position


def fail(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def test_does_not_save_weights_with_nan(tmp_path: Path) -> None:
    network, optimizer = trained()
    broken, _ = trained()
    with torch.no_grad():
        broken.get_parameter("0.weight")[0] = torch.nan
    message = r"0\.weight holds nan.*last good.*checkpoint\.pt"
    with pytest.raises(DataError, match=message), open_manager(tmp_path) as checkpoints:
        checkpoints.save(lambda: state_of(network, optimizer), best=False)
        checkpoints.save(lambda: state_of(broken, optimizer), best=False)
    assert position_of(tmp_path / "checkpoint.pt") == PROGRESS.position
