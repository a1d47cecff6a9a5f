"""Training steps with each option that changes what a step does."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.batch import Batch
from pipeline.mixup import Mixing
from trainer.distributed.collectives import World
from trainer.loop import train_steps
from trainer.micro_batches import MicroBatches
from trainer.model.ema import ModelEma
from trainer.model.freezing import BackboneFreeze
from trainer.model.precision import loss_scaler
from trainer.optim.build import build_optimizer
from trainer.recipe_config import RecipeConfig
from trainer.tasks.classification import Classification
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task
from trainer.train_step import TrainStep

NAMES, SIZE, SIDE = ("a", "b", "c"), 8, 8
WEIGHTS = (0.5, 1.0, 2.0)
CLASSIFICATION = Classification(classes=NAMES)
LABELS = torch.arange(SIZE) % 3
MASKS = (torch.arange(SIZE * SIDE**2) % 3).to(torch.uint8).reshape(SIZE, SIDE, SIDE)


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """What differs from a plain step; `train_step` are fields of ``TrainStep``."""

    task: Task = CLASSIFICATION
    targets: torch.Tensor = LABELS
    dtype: torch.dtype | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    train_step: dict[str, Any] = field(default_factory=dict)
    mix: bool = False
    finds: bool = False
    averages: bool = False
    freezes: bool = False


OPTIONS = {
    "plain": StepOptions(),
    "bf16": StepOptions(dtype=torch.bfloat16),
    "fp16": StepOptions(dtype=torch.float16, train_step={"grad_clip_norm": 1.0}),
    "fp16, adamw": StepOptions(dtype=torch.float16, recipe={"optimizer": "adamw"}),
    "fp16, lars": StepOptions(dtype=torch.float16, recipe={"optimizer": "lars"}),
    "clipped, accumulated": StepOptions(train_step={"grad_clip_norm": 1.0, "accumulate_steps": 2}),
    "found": StepOptions(finds=True),
    "averaged, frozen": StepOptions(averages=True, freezes=True),
    "mixed": StepOptions(mix=True),
    "mixed, weighted": StepOptions(
        mix=True, task=Classification(classes=NAMES, label_smoothing=0.1, class_weights=WEIGHTS)
    ),
    "focal": StepOptions(
        task=Classification(classes=NAMES, class_weights=WEIGHTS, loss_name="focal")
    ),
    "mixed, bce": StepOptions(mix=True, task=Classification(classes=NAMES, loss_name="bce")),
    "multi-label": StepOptions(
        task=MultiLabel(classes=NAMES, class_weights=WEIGHTS), targets=torch.ones(SIZE, 3)
    ),
    "regression": StepOptions(
        task=Regression(targets=NAMES, means=WEIGHTS, stds=WEIGHTS), targets=torch.ones(SIZE, 3)
    ),
    "segmentation": StepOptions(
        task=Segmentation(classes=NAMES, class_weights=WEIGHTS), targets=MASKS
    ),
}


def mixing() -> Mixing:
    return Mixing(seed=0, classes=len(NAMES), mixup_alpha=0.4, cutmix_alpha=1.0)


def steps(options: StepOptions, device: torch.device, count: int) -> Iterator[torch.Tensor]:
    """Make `count` steps; yields the loss of each, on the device."""
    network = _Network(pixelwise=options.targets.ndim == 3).to(device)
    recipe = RecipeConfig(**options.recipe)
    update = TrainStep(
        model=network,
        optimizer=build_optimizer(network, recipe),
        loss=options.task.loss,
        dtype=options.dtype,
        micro_batches=_found(network, device) if options.finds else None,
        scaler=loss_scaler(device, options.dtype),
        ema=ModelEma(network, 0.9) if options.averages else None,
        freeze=_freeze(network) if options.freezes else None,
        **options.train_step,
    )
    images = torch.zeros(SIZE, 3, SIDE, SIDE, dtype=torch.uint8, device=device)
    batch = Batch(images, options.targets.to(device), np.arange(SIZE))
    for record in train_steps(
        [batch] * count,
        update,
        schedule=lambda position: 0.01,
        global_batch_size=SIZE,
        mix=mixing() if options.mix else None,
    ):
        yield record.loss


class _Network(nn.Module):
    def __init__(self, *, pixelwise: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        pool: list[nn.Module] = [] if pixelwise else [nn.AdaptiveAvgPool2d(1)]
        self.head = nn.Sequential(*pool, nn.Conv2d(8, len(NAMES), 1))
        self.pixelwise = pixelwise

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.head(self.body(images / 255))
        return outputs if self.pixelwise else outputs.flatten(1)


def _found(network: nn.Module, device: torch.device) -> MicroBatches:
    world = World(device=device)
    return MicroBatches(model=network, world=world, batch_size=SIZE, count=2)


def _freeze(network: _Network) -> BackboneFreeze:
    return BackboneFreeze(
        steps=1, backbone=list(network.body.parameters()), norms=[network.body[1]]
    )
