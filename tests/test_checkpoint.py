"""A checkpoint is whole or absent, and refused where it doesn't belong."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.errors import DataError
from trainer.checkpoint import Identity, Progress, load_checkpoint, restore, save_checkpoint

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
    save_checkpoint(
        path,
        network=network,
        optimizer=optimizer,
        progress=PROGRESS,
        identity=IDENTITY,
        config={"epochs": 2.0, "out": None, "crop_area": (0.08, 1.0)},
    )
    return network, optimizer


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b) and a.stride() == b.stride()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    network, optimizer = save(tmp_path / "checkpoint.pt")
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt", IDENTITY)
    assert checkpoint.progress == PROGRESS
    assert checkpoint.config["epochs"] == 2.0
    other, other_optimizer = trained()
    other_optimizer.param_groups[0]["weight_decay"] = 0.125
    restore(checkpoint, network=other, optimizer=other_optimizer)
    assert same(other.state_dict(), network.state_dict())
    assert same(other_optimizer.state_dict()["state"], optimizer.state_dict()["state"])
    assert other_optimizer.param_groups[0]["weight_decay"] == 0.125


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path)
    before = path.read_bytes()

    def full_disk(state: object, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(DataError, match=r"checkpoint\.pt can't be written \(No space left"):
        save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"checkpoint\.pt can't be read"):
        load_checkpoint(path, IDENTITY)


def test_other_contents_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(DataError, match="can't be read"):
        load_checkpoint(path, IDENTITY)
    torch.save({"version": 99}, path)
    with pytest.raises(DataError, match="version 99"):
        load_checkpoint(path, IDENTITY)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"fingerprint": "def"}, "other shards"),
        ({"seed": 4}, "--seed 3"),
        ({"model": "resnet50"}, "--model toy"),
        ({"classes": 5}, "other shards"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(
    tmp_path: Path, change: dict[str, Any], advice: str
) -> None:
    save(tmp_path / "checkpoint.pt")
    with pytest.raises(DataError, match=advice):
        load_checkpoint(tmp_path / "checkpoint.pt", dataclasses.replace(IDENTITY, **change))
