"""``--pretrained``: loads matching weights, and names those that do not match."""

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import DenseNet, VisionTransformer, googlenet

from pipeline.errors import DataError
from tests.helpers.tiny_trainer import tiny_pixelwise
from trainer.checkpoints.pretrained import load_pretrained
from trainer.checkpoints.pretrained_source import find_source
from trainer.model.sources.find import find_model
from trainer.model.sources.source import WeightsInput

HEAD = ("3.weight", "3.bias")


def load(
    ours: nn.Module, path: Path, *, model: str = "resnet8", head: Collection[str] = HEAD
) -> str:
    """The sentence about the weights."""
    return load_from(ours, path, model=model, head=head)[1]


def load_from(
    ours: nn.Module, path: Path, *, model: str = "resnet8", head: Collection[str] = HEAD
) -> tuple[WeightsInput | None, str]:
    source = find_model(model)
    weights = find_source(str(path), source)
    return load_pretrained(ours, weights, model=source, head=head, image_size_px=48)


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
    assert "Loaded weights from" in load(ours, saved(tmp_path / "weights.pt", state))
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name


@pytest.mark.parametrize(("ema", "preferred"), [(None, "network"), (2, "ema")])
def test_loads_a_checkpoint_of_the_trainer(tmp_path: Path, ema: int | None, preferred: str) -> None:
    states = {"network": network().state_dict(), "ema": ema and network().state_dict()}
    ours = network()
    load(ours, saved(tmp_path / "checkpoint.pt", {"version": 1, **states}))
    assert torch.equal(ours.state_dict()["3.weight"], states[preferred]["3.weight"])


@pytest.mark.parametrize("name", ["model", "model_ema"])
def test_loads_a_checkpoint_of_torchvisions_references(tmp_path: Path, name: str) -> None:
    theirs, ours = network(), network()
    state = {f"module.{key}": tensor for key, tensor in theirs.state_dict().items()}
    state |= {"n_averaged": torch.ones((), dtype=torch.int64)} if name == "model_ema" else {}
    content = {"model": network().state_dict(), "optimizer": {}, "epoch": 3} | {name: state}
    load(ours, saved(tmp_path / "weights.pth", content))
    assert torch.equal(ours.state_dict()["3.weight"], theirs.state_dict()["3.weight"])


def test_loads_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours, path = network(), network(), tmp_path / "weights.safetensors"
    pytest.importorskip("safetensors.torch").save_file(dict(theirs.state_dict()), path)
    load(ours, path)
    assert torch.equal(ours.state_dict()["3.weight"], theirs.state_dict()["3.weight"])
    whole = path.read_bytes()
    for size in (20, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"cannot read .*weights\.safetensors \(damaged"):
            load(ours, path)
    path.write_bytes(whole)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(DataError, match=r"takes: pip install .*\.\[safetensors\]"):
        load(ours, path)


def test_converts_half_precision(tmp_path: Path) -> None:
    theirs, ours = network().half(), network()
    load(ours, saved(tmp_path / "weights.pt", theirs.state_dict()))
    assert torch.equal(ours.state_dict()["3.bias"], theirs.state_dict()["3.bias"].float())


def test_keeps_the_head_for_other_classes(tmp_path: Path) -> None:
    theirs, ours = network(classes=1000), network(classes=7)
    initial = ours.state_dict()["3.weight"].clone()
    message = load(ours, saved(tmp_path / "weights.pt", theirs.state_dict()))
    assert "except 3.weight, 3.bias: 1000 classes in the file, 7 in the shards" in message
    assert torch.equal(ours.state_dict()["3.weight"], initial)
    assert torch.equal(ours.state_dict()["0.weight"], theirs.state_dict()["0.weight"])


def test_keeps_both_heads_of_a_segmentation_model_for_other_classes(tmp_path: Path) -> None:
    theirs, ours = (tiny_pixelwise(weights=None, num_classes=classes) for classes in (21, 2))
    initial = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    heads = [name for name in initial if "classifier" in name]
    message = load(ours, saved(tmp_path / "weights.pt", theirs.state_dict()), head=heads)
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
        (lambda state: state.clear(), "missing keys 0.weight, 0.bias, 1.weight and 5 more"),
    ],
)
def test_names_what_does_not_match(tmp_path: Path, change: object, message: str) -> None:
    state = dict(network().state_dict())
    change(state)  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        load(network(), saved(tmp_path / "weights.pt", state))


def test_does_not_run_code_from_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        load(network(), saved(tmp_path / "weights.pt", network()))
    with pytest.raises(DataError, match="No such file"):
        load(network(), tmp_path / "nowhere.pt")


def test_torchvisions_files_have_earlier_names_and_auxiliary_heads(tmp_path: Path) -> None:
    """Files of DenseNets and of GoogLeNet."""
    theirs = DenseNet(2, (2, 2, 2, 2), 4, num_classes=2).state_dict()
    earlier = {
        name.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): tensor
        for name, tensor in theirs.items()
        if "num_batches_tracked" not in name
    }
    assert "features.denseblock1.denselayer1.conv.2.weight" in earlier
    ours = DenseNet(2, (2, 2, 2, 2), 4, num_classes=2)
    load(ours, saved(tmp_path / "densenet.pt", earlier), model="densenet121")
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.state_dict().items())
    ours = googlenet(weights=None, aux_logits=False, init_weights=False)
    with_heads = {**ours.state_dict(), "aux1.conv.conv.weight": torch.ones(2)}
    path = saved(tmp_path / "googlenet-1378be20.pth", with_heads)
    expected, line = load_from(ours, path, model="googlenet", head=())
    # torchvision's transform_input maps ImageNet's mean and deviation to these.
    assert expected and (expected.mean, expected.std) == ((0.5,) * 3, (0.5,) * 3)
    assert "GoogLeNet_Weights.IMAGENET1K_V1 (" in line


def test_position_embeddings_are_interpolated_to_the_image_size(tmp_path: Path) -> None:
    def vit(image_size: int) -> nn.Module:
        return VisionTransformer(image_size, 8, 1, 2, 16, 16, num_classes=3)

    theirs, ours = vit(32), vit(48)
    with torch.no_grad():
        theirs.state_dict()["encoder.pos_embedding"].fill_(0.25)
    load(ours, saved(tmp_path / "vit.pt", theirs.state_dict()), model="vit_b_16")
    embedding = ours.state_dict()["encoder.pos_embedding"]
    torch.testing.assert_close(embedding, torch.full((1, 37, 16), 0.25))


@pytest.mark.parametrize("beside", [False, True])
def test_a_checkpoint_says_what_input_its_weights_expect(tmp_path: Path, beside: bool) -> None:
    """In its settings or, of an earlier version, in config.json beside it."""
    resolved = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "image_size_px": 96}
    config: dict[str, Any] = {"seed": 0} if beside else {"interpolation": "bicubic"}
    if beside:
        (tmp_path / "config.json").write_text(json.dumps({"resolved": resolved}))
    else:
        config["resolved"] = resolved
    state = {"network": network().state_dict(), "config": config}
    expected, _ = load_from(network(), saved(tmp_path / "best.pt", state))
    assert expected == WeightsInput(
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        interpolation="bilinear" if beside else "bicubic",
        image_size_px=96,
    )


def test_a_state_dict_does_not_say_what_input_it_expects(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pt", network().state_dict())
    assert load_from(network(), path)[0] is None
