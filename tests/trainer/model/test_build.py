"""torchvision models and small ResNets on uint8 images."""

from typing import Any

import pytest
import torch
from torch import nn

from pipeline.errors import MisuseError
from trainer.model.blurpool import Blur
from trainer.model.build import Classifier, build_model
from trainer.model.cifar_resnet import cifar_resnet
from trainer.model.rehearsal import check_single_images
from trainer.model.sources.find import find_model
from trainer.model.sources.source import NetworkSpec

MEAN, STD = (0.1, 0.2, 0.3), (0.2, 0.25, 0.5)


def build(
    name: str, image_size_px: int = 32, seed: int = 0, pixelwise: bool = False, **arguments: Any
) -> Classifier:
    spec = NetworkSpec(classes=7, image_size_px=image_size_px, pixelwise=pixelwise)
    return build_model(find_model(name), spec, mean=MEAN, std=STD, seed=seed, **arguments)


@pytest.mark.parametrize(
    ("name", "image_size_px"), [("squeezenet1_1", 32), ("googlenet", 32), ("vit_b_32", 64)]
)
def test_builds_for_any_image_size(name: str, image_size_px: int) -> None:
    model = build(name, image_size_px)
    images = torch.zeros(2, 3, image_size_px, image_size_px, dtype=torch.uint8)
    assert model.training
    assert model(images).shape == (2, 7)


def test_normalizes_as_torchvision_does() -> None:
    images = torch.randint(256, (2, 3, 4, 4), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    normalized = Classifier(nn.Identity(), mean=MEAN, std=STD)(images)
    torch.testing.assert_close(normalized, (images / 255 - mean) / std)


def test_a_constant_channel_stays_finite() -> None:
    model = Classifier(nn.Identity(), mean=MEAN, std=(0.0, 0.0, 0.0))
    assert model(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)).isfinite().all()


def test_the_seed_determines_the_weights() -> None:
    first, repeated, other = (build("squeezenet1_1", seed=seed) for seed in (1, 1, 2))
    weights = [next(model.parameters()) for model in (first, repeated, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_state_dict_is_that_of_torchvision() -> None:
    assert not any("scale" in name or "shift" in name for name in build("resnet18").state_dict())


@pytest.mark.parametrize(
    ("name", "message"), [("resnet51", "resnet50"), ("alexnet", "32 x 32 px"), ("vit_b_16", None)]
)
def test_rejects_unknown_models_and_unsupported_sizes(name: str, message: str | None) -> None:
    if message is None:
        with pytest.raises(MisuseError, match="40 x 40 px"):
            build(name, 40)
    else:
        with pytest.raises(MisuseError, match=message):
            build(name)


def test_rejects_batch_norm_over_a_single_value() -> None:
    check_single_images(build("resnet18", 64), [64])
    with pytest.raises(MisuseError, match="cannot train on one image of 32 x 32 px"):
        check_single_images(build("resnet18", 64), [64, 32])
    model = build("deeplabv3_mobilenet_v3_large", 64, pixelwise=True)
    with pytest.raises(MisuseError, match="give each rank 2 or more images by --global-batch-size"):
        check_single_images(model, [64])


@pytest.mark.parametrize(
    ("name", "millions"),
    # He et al. 2016, arXiv:1512.03385, table 6.
    [("resnet20", 0.27), ("resnet32", 0.46), ("resnet44", 0.66), ("resnet56", 0.85)],
)
def test_small_resnets_have_the_number_of_parameters_of_the_paper(
    name: str, millions: float
) -> None:
    network = cifar_resnet(name, classes=10)
    # The paper's shortcuts (option A) have no weights.
    modules = [module for name, module in network.named_modules() if "downsample" not in name]
    count = sum(p.numel() for module in modules for p in module.parameters(recurse=False))
    assert count / 1e6 == pytest.approx(millions, abs=0.005)
    weighted = [module for module in modules if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(weighted) == int(name.removeprefix("resnet"))


def test_a_small_resnet_keeps_the_size_of_small_images() -> None:
    model = build("resnet8")
    shapes: dict[str, torch.Size] = {}
    for name in ("relu", "layer3"):
        layer = model.network.get_submodule(name)
        layer.register_forward_hook(lambda _, __, out, name=name: shapes.update({name: out.shape}))
    assert model(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape == (2, 7)
    assert shapes == {"relu": (2, 16, 32, 32), "layer3": (2, 64, 8, 8)}


def test_blurpool_keeps_shapes_and_names() -> None:
    plain = build("resnet18")
    blurred = build("resnet18", blurpool=True)
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    assert blurred(images).shape == plain(images).shape
    assert not torch.equal(blurred(images), plain(images))
    assert list(blurred.network.state_dict()) == list(plain.network.state_dict())
    # Three stages halve the size, each in a 3 x 3 and in a 1 x 1 convolution.
    assert sum(isinstance(module, Blur) for module in blurred.modules()) == 6


def test_blur_is_a_binomial_filter() -> None:
    image = torch.zeros(1, 2, 5, 5)
    image[0, 1, 2, 2] = 16
    expected = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
    blurred = Blur(2)(image)
    assert torch.equal(blurred[0, 1, 1:4, 1:4], expected)
    assert blurred.sum() == 16


def test_rejects_blurpool_without_strided_convolutions() -> None:
    with pytest.raises(MisuseError, match="vit_b_32 has no strided convolution"):
        build("vit_b_32", 64, blurpool=True)
