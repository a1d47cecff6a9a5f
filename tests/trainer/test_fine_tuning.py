"""Fine-tuning: weights from torch.hub's cache, their input, and the frozen backbone."""

import json
import signal
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers import tiny_trainer
from tests.helpers.cli import invoke
from tests.helpers.processes import exit_codes, lines, start_ranks
from tests.helpers.runs import saved, stop_after, train
from trainer.config import Settings
from trainer.data import TrainingData
from trainer.evaluate import main as evaluate
from trainer.fine_tuning import prepare_input
from trainer.model.build import Classifier
from trainer.model.freezing import freeze_backbone
from trainer.model.head import head_names
from trainer.model.sources.find import find_model
from trainer.model.sources.source import NetworkSpec, WeightsInput
from trainer.optim.build import build_optimizer
from trainer.recipe_config import RecipeConfig
from trainer.train_step import TrainStep

HEAD = ("6.weight", "6.bias")
# 4 steps of 64 are frozen: 0.12 * 1,617 / 64 = 3.03.
FINE_TUNING: dict[str, Any] = {
    "model": tiny_trainer.MODEL,
    "pretrained": "imagenet",
    "freeze_backbone_epochs": 0.12,
    "backbone_lr_factor": 0.1,
    "ema_decay": 0.5,
    "weight_decay": 0.1,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Weights of 1000 classes in the cache of torch.hub."""
    home = tmp_path_factory.mktemp("torch")
    path = home / "hub" / "checkpoints" / "tiny-0123abcd.pth"
    path.parent.mkdir(parents=True)
    torch.manual_seed(3)
    torch.save(tiny_trainer.tiny(weights=None, num_classes=1000).state_dict(), path)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TORCH_HOME", str(home))
        yield path


@pytest.fixture(scope="module")
def whole(
    digits_shards: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The checkpoint of an undisturbed run."""
    return train(digits_shards, tmp_path_factory.mktemp("runs") / "whole", **FINE_TUNING)


def test_a_run_resumes_and_is_evaluated_without_the_weights_file(
    digits_shards: Path,
    tmp_path: Path,
    weights: Path,
    whole: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        stop_after(patch, 3)
        train(digits_shards, tmp_path, **FINE_TUNING)
    assert stopped.value.code == 128 + signal.SIGTERM
    output = " ".join(capsys.readouterr().out.split())
    for sentence in (
        f"Loaded weights from TinyWeights.TINY ({weights}), except 6.weight, 6.bias: 1000 classes",
        "normalized by the weights' mean 0.500 0.400 0.300 and standard deviation 0.250 0.200",
        "resized bicubic (--interpolation)",
        "expect images of 24 px, this run has 32 px (--image-size)",
        "Only 6.bias, 6.weight are trained at first, for 4 steps",
    ):
        assert sentence in output
    theirs, frozen = torch.load(weights), saved(tmp_path)
    for state in (frozen["network"], frozen["ema"]):
        assert [name for name in theirs if not torch.equal(state[name], theirs[name])] == [*HEAD]
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nowhere"))
    parts = train(digits_shards, tmp_path, **FINE_TUNING)
    for name, tensor in whole["network"].items():
        assert torch.equal(tensor, parts["network"][name]), name
        assert torch.equal(whole["ema"][name], parts["ema"][name]), name
        assert not torch.equal(tensor, frozen["network"][name]), name
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["interpolation"] == "bicubic"
    assert config["resolved"]["mean"] == [0.5, 0.4, 0.3]
    result = invoke(evaluate, tmp_path)
    assert result.exit_code == 0, result.output
    (logged,) = lines(tmp_path, "evaluation")
    evaluated = json.loads(result.output.splitlines()[-1])
    assert evaluated["loss"] == pytest.approx(logged["loss"], rel=1e-4)


def test_two_ranks_fine_tune_like_one(
    tmp_path: Path, weights: Path, whole: dict[str, Any], loaded: ForkServerContext
) -> None:
    options = {name: value for name, value in whole["config"].items() if name != "resolved"}
    # Known by its name, and in no cache: the ranks have another environment.
    options |= {"pretrained": str(weights), "interpolation": "auto"}
    options |= {"out": str(tmp_path), "threads": 1}
    assert exit_codes(start_ranks(loaded, 2, **options)) == [0, 0]
    for name, tensor in saved(tmp_path)["network"].items():
        torch.testing.assert_close(tensor, whole["network"][name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lars"])
def test_frozen_layers_keep_weights_statistics_and_have_no_momentum(optimizer: Any) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)
    )
    model = Classifier(network, mean=(0.5,) * 3, std=(0.2,) * 3)
    head = ("4.weight", "4.bias")
    config = RecipeConfig(optimizer=optimizer, weight_decay=0.5, learning_rate=0.1)
    step = TrainStep(
        model=model,
        optimizer=build_optimizer(model.network, config),
        freeze=freeze_backbone(model, head, steps=2),
    )
    initial = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    generator, changed = torch.Generator().manual_seed(1), []
    for number in range(3):
        images = torch.randint(256, (8, 3, 8, 8), dtype=torch.uint8, generator=generator)
        model.train()
        step(images, torch.randint(2, (8,), generator=generator), 0.1, step=number)
        now = network.state_dict()
        changed.append([name for name in initial if not torch.equal(now[name], initial[name])])
        momenta = [
            any(moment.any() for moment in step.optimizer.state.get(weight, {}).values())
            for weight in network.parameters()
        ]
        assert momenta == [number == 2] * 4 + [True] * 2
    assert changed == [[*head], [*head], [*initial]]


@pytest.mark.parametrize(
    ("model", "pixelwise", "layers"),
    [
        ("resnet18", False, ["fc"]),
        ("regnet_y_400mf", False, ["fc"]),
        ("swin_t", False, ["head"]),
        ("lraspp_mobilenet_v3_large", True, ["high_classifier", "low_classifier"]),
        ("fcn_resnet50", True, ["4", "4"]),
    ],
)
def test_the_head_is_what_depends_on_the_number_of_classes(
    model: str, pixelwise: bool, layers: list[str]
) -> None:
    names = head_names(
        lambda classes: find_model(model).build(
            NetworkSpec(classes=classes, image_size_px=64, pixelwise=pixelwise)
        )
    )
    assert sorted(name.split(".")[-2] for name in names if name.endswith("weight")) == layers
    assert len(names) == 2 * len(layers)


@pytest.mark.parametrize("normalization", ["weights", "shards"])
@pytest.mark.parametrize("interpolation", ["auto", "bilinear"])
def test_options_override_the_input_that_the_weights_expect(
    normalization: str, interpolation: str
) -> None:
    expected = WeightsInput(
        mean=(0.1,) * 3, std=(0.2,) * 3, interpolation="bicubic", image_size_px=224
    )
    data = TrainingData(
        dataset=None,
        samples=1,
        classes=2,
        image_size_px=224,
        mean=(0.6,) * 3,
        std=(0.7,) * 3,
        fingerprint="",
    )
    settings = Settings.from_options(normalization=normalization, interpolation=interpolation)
    assert prepare_input(settings, data, None) == (settings, data, [])
    prepared, changed, messages = prepare_input(settings, data, expected)
    mean, std = (0.1, 0.2) if normalization == "weights" else (0.6, 0.7)
    assert (changed.mean, changed.std) == ((mean,) * 3, (std,) * 3)
    resized = "bicubic" if interpolation == "auto" else "bilinear"
    assert prepared.pipeline.interpolation == resized
    assert len(messages) == 1 and f"{normalization}' mean" in messages[0] and resized in messages[0]
