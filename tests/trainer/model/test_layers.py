"""The order of layers, and the learning rates that it gives."""

import pytest
import torch
from torch import nn

from pipeline.errors import MisuseError
from trainer.fine_tuning import head_for, lr_factors_for
from trainer.model.layers import layers_in_order
from trainer.model.sources.find import find_model
from trainer.model.sources.source import NetworkSpec
from trainer.recipe_config import RecipeConfig


def network(name: str, **options: float) -> nn.Module:
    with torch.device("meta"):
        return find_model(name).build(NetworkSpec(classes=7, image_size_px=64, **options))


@pytest.mark.parametrize(
    ("name", "count", "places"),
    [
        # The patches, 12 blocks, and the head; the last norm belongs to the last block.
        (
            "vit_b_32",
            14,
            {
                "class_token": 0,
                "conv_proj.weight": 0,
                "encoder.pos_embedding": 0,
                "encoder.layers.encoder_layer_0.ln_1.weight": 1,
                "encoder.layers.encoder_layer_11.mlp.0.bias": 12,
                "encoder.ln.bias": 12,
                "heads.head.weight": 13,
            },
        ),
        # Patches, 2 + 2 + 6 + 2 blocks, 3 mergings, and the head.
        ("swin_t", 17, {"features.0.0.weight": 0, "features.0.2.weight": 0, "head.bias": 16}),
        # Stem, 3 + 3 + 9 + 3 blocks, 3 strided convolutions, and the head.
        ("convnext_tiny", 23, {"features.1.0.layer_scale": 1, "classifier.2.bias": 22}),
        # Stem, 2 blocks in each of 4 stages, and the head.
        ("resnet18", 10, {"bn1.weight": 0, "layer1.0.conv1.weight": 1, "fc.weight": 9}),
        ("resnet8", 5, {"bn1.weight": 0, "layer3.0.bn2.bias": 3, "fc.bias": 4}),
    ],
)
def test_layers_are_counted_from_the_input(name: str, count: int, places: dict[str, int]) -> None:
    layers = layers_in_order(network(name))
    assert max(layers.values()) + 1 == count
    assert {parameter: layers[parameter] for parameter in places} == places


def test_each_layer_has_a_lower_rate_than_the_next() -> None:
    recipe = RecipeConfig(model="vit_b_32", layer_decay=0.5, backbone_lr_factor=0.1)
    source, net = find_model("vit_b_32"), network("vit_b_32")
    spec = NetworkSpec(classes=7, image_size_px=64)
    head = head_for(recipe, source, net, spec)
    assert head == {"heads.head.weight", "heads.head.bias"}
    factors = lr_factors_for(recipe, source, net, head)
    assert factors["heads.head.bias"] == 1
    assert factors["encoder.ln.weight"] == pytest.approx(0.1 * 0.5)
    assert factors["class_token"] == pytest.approx(0.1 * 0.5**13)


def test_rejects_layers_without_a_known_order() -> None:
    recipe, source = RecipeConfig(layer_decay=0.5), find_model("fcn_resnet50")
    with pytest.raises(MisuseError, match="order of the layers of fcn_resnet50 is unknown"):
        lr_factors_for(recipe, source, nn.Linear(1, 1), ())


@pytest.mark.parametrize("name", ["swin_t", "convnext_tiny", "efficientnet_b0"])
def test_paths_of_torchvision_are_dropped_as_asked(name: str) -> None:
    rates = [
        path.p
        for path in network(name, drop_path=0.3).modules()
        if type(path).__name__ == "StochasticDepth"
    ]
    assert max(rates) == pytest.approx(0.3)
    assert rates == sorted(rates)


@pytest.mark.parametrize("name", ["resnet8", "vit_b_32", "fcn_resnet50"])
def test_rejects_paths_that_a_model_does_not_have(name: str) -> None:
    spec = NetworkSpec(classes=2, image_size_px=64, pixelwise="fcn" in name, drop_path=0.1)
    with torch.device("meta"), pytest.raises(MisuseError, match=f"{name} has no paths to drop"):
        find_model(name).build(spec)
