"""Run under torchrun: the same steps on two ranks and on one, with options of DDP.

Prints the largest difference of the weights for each option as JSON.
"""

import dataclasses
import json
from typing import Any

import torch
from torch import nn

from trainer.config import MachineConfig
from trainer.distributed.collectives import World
from trainer.distributed.ddp import wrap_ddp
from trainer.distributed.process_group import open_world
from trainer.model.build import Classifier
from trainer.model.freezing import freeze_backbone
from trainer.train_step import TrainStep

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulated": {"accumulate_steps": 2},
    "static": {"static_graph": True},
    "compressed": {"compress_gradients": True},
    "frozen": {"frozen_steps": 2, "accumulate_steps": 2},
}


def weights(
    world: World, *, accumulate_steps: int = 1, frozen_steps: int = 0, **machine: Any
) -> torch.Tensor:
    """Weights after 4 steps of 16 images over all ranks."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 5))
    model = Classifier(network, mean=(0.5,) * 3, std=(0.2,) * 3)
    train_step = TrainStep(
        model=wrap_ddp(model, world, MachineConfig(**machine)),
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        accumulate_steps=accumulate_steps,
        freeze=freeze_backbone(model, ("3.weight", "3.bias"), steps=frozen_steps),
        average=world.all_reduce_mean_,
    )
    generator = torch.Generator().manual_seed(1)
    for step in range(4):
        images = torch.randint(256, (16, 3, 8, 8), dtype=torch.uint8, generator=generator)
        labels = torch.randint(5, (16,), generator=generator)
        share = slice(world.rank, None, world.world_size)
        train_step(images[share], labels[share], 0.1, step=step)
    return nn.utils.parameters_to_vector(model.parameters()).detach()


if __name__ == "__main__":
    with open_world("cpu") as world:
        alone = dataclasses.replace(world, rank=0, world_size=1)
        expected = {
            frozen_steps: weights(alone, frozen_steps=frozen_steps) for frozen_steps in (0, 2)
        }
        errors = {}
        for name, options in OPTIONS.items():
            difference = weights(world, **options) - expected[options.get("frozen_steps", 0)]
            errors[name] = float(difference.abs().max())
        if world.rank == 0:
            print(json.dumps(errors))
