"""timm's models: their names, what they are built for, and their published weights."""

import dataclasses
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from torch import nn

from pipeline.errors import DataError, MisuseError
from trainer.checkpoints.pretrained import load_pretrained
from trainer.checkpoints.pretrained_source import download, find_source
from trainer.distributed.collectives import World
from trainer.distributed.ddp import convert_sync_batchnorm
from trainer.model.build import Classifier, build_model
from trainer.model.head import find_head
from trainer.model.rehearsal import check_training
from trainer.model.sources.find import find_model
from trainer.model.sources.source import NetworkSpec
from trainer.model.sources.timm_models import TimmModel
from trainer.optim.build import build_optimizer
from trainer.recipe_config import RecipeConfig

timm = pytest.importorskip("timm")
safetensors = pytest.importorskip("safetensors.torch")

SPEC = NetworkSpec(classes=7, image_size_px=32)
TINY = ("timm/test_vit", "timm/test_convnext", "timm/test_efficientnet")
# The smallest images that each takes.
NAMED = {"convnext_tiny": 32, "efficientnet_b0": 32, "vit_small_patch16_224": 16}


def build(name: str, spec: NetworkSpec = SPEC, **options: Any) -> Classifier:
    return build_model(find_model(name), spec, mean=(0.5,) * 3, std=(0.2,) * 3, seed=0, **options)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch.hub's folder of weights; the hub's own is empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def write_weights(path: Path, name: str = "test_vit") -> dict[str, torch.Tensor]:
    """Random weights of a model at the size and with the classes of its published ones."""
    torch.manual_seed(5)
    weights: dict[str, torch.Tensor] = timm.create_model(name).state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.save_file(weights, path)
    return weights


def load(network: nn.Module, given: str, name: str = "timm/test_vit") -> tuple[Any, str]:
    source = find_model(name)
    weights = find_source(given, source)
    head = find_head(source, network, SPEC)
    return load_pretrained(network, weights, model=source, head=head, image_size_px=32)


@pytest.mark.parametrize("name", TINY)
def test_builds_trains_and_has_a_head_and_layers(name: str) -> None:
    model = build(name, dataclasses.replace(SPEC, drop_path=0.2))
    check_training(model, name, outputs=7, sizes_px=[32])
    network, source = model.network, find_model(name)
    head = find_head(source, network, SPEC)
    assert {network.state_dict()[parameter].shape[0] for parameter in head} == {7}
    layers = source.layers(network)
    assert layers is not None and layers.keys() == dict(network.named_parameters()).keys()
    assert {layers[parameter] for parameter in head} == {max(layers.values())}
    stem = next(iter(dict(network.named_parameters())))
    assert layers[stem] == 0 and max(layers.values()) > 3


def test_paths_are_dropped_as_asked() -> None:
    paths = [
        module.drop_prob
        for module in build("timm/test_vit", dataclasses.replace(SPEC, drop_path=0.3)).modules()
        if type(module).__name__ == "DropPath"
    ]
    assert max(paths) == pytest.approx(0.3) and min(paths) < 0.1
    with pytest.raises(MisuseError, match=r"--drop-path: timm/vgg11 has no paths to drop"):
        find_model("timm/vgg11").build(dataclasses.replace(SPEC, drop_path=0.3))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/convnext_tinny", r"no such model. Similar: timm/convnext_tiny"),
        ("timm/convnext_tiny.in1k_fb", r"Similar: .*timm/convnext_tiny\.fb_in1k"),
        ("timm/hf-hub:someone/model", "no such model"),
        ("timm/", "no such model"),
    ],
)
def test_a_misspelt_name_gets_similar_ones(name: str, message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        find_model(name).build(SPEC)


def test_rejects_masks_and_other_sizes() -> None:
    with pytest.raises(MisuseError, match="timm/test_vit is a classification model"):
        find_model("timm/test_vit").build(dataclasses.replace(SPEC, pixelwise=True))
    with pytest.raises(MisuseError, match="does not accept images of 48 x 48 px"):
        build("timm/vit_tiny_patch16_224", other_sizes_px=(32, 48))
    with pytest.raises(MisuseError, match="--blurpool: timm/test_vit has no strided convolution"):
        build("timm/test_vit", blurpool=True)


def test_timm_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(MisuseError, match=r"timm is not installed: pip install .*\.\[timm\]"):
        find_model("timm/test_vit").build(SPEC)


def test_published_weights_say_what_input_they_expect(cache: Path) -> None:
    config = timm.models.get_pretrained_cfg("test_vit")
    theirs = write_weights(cache / f"test_vit.{config.tag}.safetensors")
    network = build("timm/test_vit").network
    initial = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    expected, line = load(network, "imagenet")
    assert (expected.mean, expected.std) == (config.mean, config.std)
    assert (expected.image_size_px, expected.interpolation) == (160, config.interpolation)
    assert f"timm/test_vit.{config.tag}" in line and "1000 classes in the file, 7 in" in line
    ours = network.state_dict()
    assert torch.equal(ours["blocks.0.attn.qkv.weight"], theirs["blocks.0.attn.qkv.weight"])
    assert torch.equal(ours["head.weight"], initial["head.weight"])
    assert ours["pos_embed"].shape != theirs["pos_embed"].shape
    assert not torch.equal(ours["pos_embed"], initial["pos_embed"])


def test_the_cache_of_the_hub_is_used(tmp_path: Path) -> None:
    tag = timm.models.get_pretrained_cfg("test_vit").tag
    repository = tmp_path / "hub" / f"models--timm--test_vit.{tag}"
    write_weights(repository / "snapshots" / "0a1b" / "model.safetensors")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0a1b")
    source = find_source("imagenet", find_model("timm/test_vit"))
    assert source.url is None
    assert source.path == repository / "snapshots" / "0a1b" / "model.safetensors"


def test_without_a_network_the_message_names_file_and_folder(cache: Path) -> None:
    source = find_source("imagenet", find_model("timm/convnext_tiny.fb_in1k"))
    assert source.url is not None and source.url.endswith("model.safetensors")
    with pytest.raises(DataError) as failure:
        download(dataclasses.replace(source, url="http://localhost:9/model.safetensors"))
    assert f"put it into {cache} as convnext_tiny.fb_in1k.safetensors" in failure.value.message


def test_weights_of_another_model_are_named(tmp_path: Path) -> None:
    write_weights(tmp_path / "other.safetensors", "test_convnext")
    with pytest.raises(DataError, match=r"other\.safetensors does not match --model: missing keys"):
        load(build("timm/test_vit").network, str(tmp_path / "other.safetensors"))


def test_position_embeddings_have_no_weight_decay() -> None:
    network = build("timm/test_vit").network
    optimizer = build_optimizer(network, RecipeConfig(optimizer="adamw", weight_decay=0.5))
    decayed = {
        weight
        for group in optimizer.param_groups
        if group["weight_decay"]
        for weight in group["params"]
    }
    names = {name for name, weight in network.named_parameters() if weight in decayed}
    assert "blocks.0.attn.qkv.weight" in names
    assert not names & {"pos_embed", "cls_token", "blocks.0.attn.qkv.bias"}


def test_synchronized_batch_norms_keep_their_activation() -> None:
    model = build("timm/test_efficientnet").eval()
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = model(images)
    synchronized = convert_sync_batchnorm(model, World(device=torch.device("cuda"), world_size=2))
    assert any(isinstance(module, nn.SyncBatchNorm) for module in synchronized.modules())
    torch.testing.assert_close(synchronized.eval()(images), expected)
    with pytest.raises(MisuseError, match="--sync-bn: the model has no batch norm"):
        convert_sync_batchnorm(build("timm/test_vit"), World(device=torch.device("cuda")))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMED)
def test_the_models_of_the_pages_train(name: str) -> None:
    spec = NetworkSpec(classes=7, image_size_px=NAMED[name], drop_path=0.1)
    model = build(f"timm/{name}", spec)
    check_training(model, name, outputs=7, sizes_px=[spec.image_size_px])
    assert TimmModel(name=f"timm/{name}").known_weights()
