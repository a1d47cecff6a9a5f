"""The trainer with a tiny classification and a tiny segmentation model, also for torchrun.

The models have neither dropout nor batch norm, so a step is the same on any number of ranks, except
for the order of sums. The first is said to have weights, which a test lays into torch.hub's cache.
"""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import interpolate
from torchvision.models._api import BUILTIN_MODELS, Weights, WeightsEnum, register_model
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from trainer.__main__ import main
from trainer.config import Settings
from trainer.distributed.exit import entry
from trainer.train import run

MODEL = "tiny"


class TinyWeights(WeightsEnum):
    TINY = Weights(
        url="http://localhost:9/models/tiny-0123abcd.pth",
        transforms=partial(
            ImageClassification,
            crop_size=24,
            mean=(0.5, 0.4, 0.3),
            std=(0.25, 0.2, 0.3),
            interpolation=InterpolationMode.BICUBIC,
        ),
        meta={},
    )
    DEFAULT = TINY


def tiny(*, weights: TinyWeights | None, num_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, num_classes),
    )


class TinyPixelwise(nn.Module):
    """Like torchvision's FCN: a backbone, a head and an auxiliary head."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU()
        )
        self.classifier = nn.Conv2d(16, num_classes, 3, padding=1)
        self.aux_classifier = nn.Conv2d(16, num_classes, 1)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        features, size = self.backbone(images), images.shape[2:]
        heads = {"out": self.classifier(features), "aux": self.aux_classifier(features)}
        return {name: interpolate(head, size, mode="bilinear") for name, head in heads.items()}


def tiny_pixelwise(*, weights: None, num_classes: int, **ignored: Any) -> nn.Module:
    return TinyPixelwise(num_classes)


# torchvision lists only models of its own package. This runs twice if a process that imported this
# module runs it as a script.
for builder, module in ((tiny, "tiny"), (tiny_pixelwise, "segmentation.tiny")):
    builder.__module__ = f"torchvision.models.{module}"
    BUILTIN_MODELS.pop(builder.__name__, None)
    register_model()(builder)


def train(**values: Any) -> None:
    run(Settings.from_options(**{"model": MODEL, "show_batch": 0} | values))


def train_in(folder: Path, name: str, **values: Any) -> None:
    """Train an epoch on `folder`/shards; the run is `folder`/`name`."""
    epoch = {"epochs": 1.0, "global_batch_size": 8, "image_size": 32}
    train(shards=str(folder / "shards"), out=str(folder / name), **epoch | values)


if __name__ == "__main__":
    entry(main)
