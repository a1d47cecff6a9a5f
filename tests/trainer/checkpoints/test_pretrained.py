"""``--pretrained``: loads matching weights, and names those that do not match."""

from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.errors import DataError
from tests.helpers.tiny_trainer import tiny_pixelwise
from trainer.checkpoints.pretrained import load_pretrained


def network(classes: int = 3, width: int = 4) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(width, classes)
    )


def saved(path: Path, state: object) -> Path:
    torch.save(state, path)
    return path


@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod.", "_orig_mod.module."])
def test_loads_all_weights(tmp_path: Path, prefix: str) -> None:
    theirs, ours = network(), network()
    state = {prefix + name: tensor for name, tensor in theirs.state_dict().items()}
    assert "Loaded weights from" in load_pretrained(ours, saved(tmp_path / "weights.pt", state))
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name


@pytest.mark.parametrize(("ema", "preferred"), [(None, "network"), (2, "ema")])
def test_loads_a_checkpoint_of_the_trainer(tmp_path: Path, ema: int | None, preferred: str) -> None:
    states = {"network": network().state_dict(), "ema": ema and network().state_dict()}
    ours = network()
    load_pretrained(ours, saved(tmp_path / "checkpoint.pt", {"version": 1, **states}))
    assert torch.equal(ours.state_dict()["3.weight"], states[preferred]["3.weight"])


def test_keeps_the_head_for_other_classes(tmp_path: Path) -> None:
    theirs, ours = network(classes=1000), network(classes=7)
    initial = ours.state_dict()["3.weight"].clone()
    message = load_pretrained(ours, saved(tmp_path / "weights.pt", theirs.state_dict()))
    assert "except 3.weight, 3.bias: 1000 classes in the file, 7 in the shards" in message
    assert torch.equal(ours.state_dict()["3.weight"], initial)
    assert torch.equal(ours.state_dict()["0.weight"], theirs.state_dict()["0.weight"])


def test_keeps_both_heads_of_a_segmentation_model_for_other_classes(tmp_path: Path) -> None:
    theirs, ours = (tiny_pixelwise(weights=None, num_classes=classes) for classes in (21, 2))
    initial = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    message = load_pretrained(ours, saved(tmp_path / "weights.pt", theirs.state_dict()))
    heads = [name for name in initial if "classifier" in name]
    assert f"except {', '.join(heads)}: 21 classes in the file, 2 in the shards" in message
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, initial[name] if name in heads else theirs.state_dict()[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("0.bias"), "missing keys 0.bias"),
        (lambda state: state.update(extra=torch.ones(1)), "unexpected keys extra"),
        (lambda state: state.update({"0.bias": torch.ones(9)}), r"0.bias \(9,\) instead of \(4,\)"),
        (lambda state: state.update(extra="text"), "holds no state dict"),
        (lambda state: state.clear(), "missing keys 0.weight, 0.bias, 1.weight and 6 more"),
    ],
)
def test_names_what_does_not_match(tmp_path: Path, change: object, message: str) -> None:
    state = dict(network().state_dict())
    change(state)  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        load_pretrained(network(), saved(tmp_path / "weights.pt", state))


def test_does_not_run_code_from_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        load_pretrained(network(), saved(tmp_path / "weights.pt", network()))
    with pytest.raises(DataError, match="No such file"):
        load_pretrained(network(), tmp_path / "nowhere.pt")
