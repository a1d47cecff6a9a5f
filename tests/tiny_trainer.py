"""The trainer with one more classifier, so small that many runs fit into a test; for torchrun, too.

It draws nothing and norms nothing, so a step computes the same at any number of ranks, but for the
order of sums.
"""

from typing import Any

from torch import nn
from torchvision.models._api import register_model

from trainer.__main__ import entry
from trainer.config import Settings
from trainer.train import run

MODEL = "tiny"


def tiny(*, weights: None, num_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, num_classes),
    )


# Only what lies in torchvision's own package is listed as its own.
tiny.__module__ = "torchvision.models.tiny"
register_model()(tiny)


def train(**values: Any) -> None:
    run(Settings.of(model=MODEL, **values))


if __name__ == "__main__":
    entry()
