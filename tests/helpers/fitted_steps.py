"""Run under torchrun: steps that run out of memory, and the same steps with the numbers of
micro-batches that these found.

Prints, for each case, the largest difference of weights, statistics, averages and loss scale as
JSON.
"""

import copy
import gc
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.batch import Batch
from tests.helpers.amounts import full_or_tenth
from tests.helpers.short_memory import Shortage
from trainer.config import MachineConfig
from trainer.distributed.collectives import World
from trainer.distributed.ddp import start_without_ddp, wrap_ddp
from trainer.distributed.process_group import open_world
from trainer.loop import train_steps
from trainer.micro_batches import MicroBatches
from trainer.model.build import Classifier
from trainer.model.ema import ModelEma
from trainer.model.freezing import freeze_backbone
from trainer.model.precision import loss_scaler
from trainer.out_of_memory import NoSmallerBatchError
from trainer.train_step import TrainStep

# Of each rank.
BATCH_SIZE, STEPS = 12, 6


@dataclass(frozen=True, kw_only=True)
class Case:
    """Attributes:
    limits: step -> rank -> the most images that fit there.
    counts: micro-batches of each step.
    first: with how many micro-batches the steps begin.
    late: memory ends in the second micro-batch that does not fit.
    """

    limits: dict[int, dict[int, int]]
    counts: tuple[int, ...]
    first: int = 1
    backward: bool = False
    late: bool = False
    norm: bool = False
    dropout: float = 0.0
    ema: bool = False
    frozen_steps: int = 0
    dtype: torch.dtype | None = None
    clip: float | None = None


ONCE = {"limits": {2: {0: 6}}, "counts": (1, 1, 2, 2, 2, 2)}
TWICE = {"limits": {1: {0: 7}, 4: {-1: 3}}, "counts": (1, 2, 2, 2, 4, 4)}
CASES: dict[str, dict[str, Any]] = {
    "never": {"limits": {}, "counts": (1,) * STEPS},
    "forward": ONCE,
    "backward": ONCE | {"backward": True},
    "two steps, two ranks": TWICE,
    "two steps, backward": TWICE | {"backward": True},
    "twice in the first step": {"limits": {0: {-1: 4}}, "counts": (4,) * STEPS},
    "one image": {"limits": {3: {0: 1}}, "counts": (1, 1, 1, 12, 12, 12)},
    "all ranks": {"limits": {2: {0: 6, 1: 3, 2: 11}}, "counts": (1, 1, 4, 4, 4, 4)},
    "late": {"limits": {2: {0: 4}}, "counts": (2, 2, 4, 4, 4, 4), "first": 2, "late": True},
}
CASES = {
    name: options | extra
    for name, options in CASES.items()
    for extra in ({"norm": True, "dropout": 0.3},)
} | {
    "without batch norm": ONCE,
    "average": TWICE | {"norm": True, "ema": True},
    "frozen": TWICE | {"norm": True, "frozen_steps": 3},
    "float16": TWICE | {"norm": True, "dtype": torch.float16, "clip": 1.0},
    "bfloat16": TWICE | {"norm": True, "dtype": torch.bfloat16, "dropout": 0.1},
}


def main() -> None:
    with open_world("cpu") as world:
        # Threads that wait for each other are slow on a busy machine.
        torch.set_num_threads(1)
        ranks = world.world_size
        cases = {name: Case(**_of_ranks(options, ranks)) for name, options in CASES.items()}
        cases |= {f"random {seed}": _random_case(seed, ranks) for seed in range(full_or_tenth(40))}
        differences = {name: _difference(case, world) for name, case in cases.items()}
        _nothing_fits(world)
        if world.rank == 0:
            sys.stdout.write(json.dumps(differences) + "\n")


def _of_ranks(options: dict[str, Any], ranks: int) -> dict[str, Any]:
    """With the limits of the ranks that there are; -1 is the last one."""
    limits = {
        step: {rank % ranks if rank < 0 else rank: size for rank, size in of_rank.items()}
        for step, of_rank in options["limits"].items()
    }
    if 1 in limits.get(2, {}) and ranks == 1:
        limits = {2: {0: 3}}
    return options | {"limits": limits}


def _random_case(seed: int, ranks: int) -> Case:
    generator = random.Random(seed)
    counts, count, limits = [], 1, {}
    for step in range(STEPS):
        if generator.random() < 0.4:
            sizes = {
                rank: generator.randint(1, 12) for rank in range(ranks) if rank % 2 or step % 2
            }
            limits[step] = sizes
            largest = min(sizes.values(), default=12)
            while BATCH_SIZE // count > largest:
                count = {1: 2, 2: 4, 4: 12}[count]
        counts.append(count)
    return Case(
        limits=limits,
        counts=tuple(counts),
        norm=generator.random() < 0.5,
        dropout=generator.choice((0.0, 0.5)),
        backward=generator.random() < 0.5,
        ema=generator.random() < 0.5,
        frozen_steps=generator.choice((0, 3)),
        clip=generator.choice((None, 0.1)),
    )


def _difference(case: Case, world: World) -> float:
    """The largest difference from steps whose numbers of micro-batches were given."""
    # A failed attempt collects garbage, which takes 0.4 s if it looks at all modules.
    gc.freeze()
    model, shortage = _model(case, world)
    found = MicroBatches(model=model, world=world, batch_size=BATCH_SIZE, count=case.first)
    start = start_without_ddp(model, world, MachineConfig())
    step = replace(_train_step(case, model, start, world), micro_batches=found)
    counts = []
    for number, _ in enumerate(_steps(step, world, range(STEPS), shortage)):
        assert step.micro_batch_count == case.counts[number], (case, number, found.count)
        counts.append(found.count)
    expected_model, _ = _model(case, world)
    parallel = wrap_ddp(expected_model, world, MachineConfig())
    expected = _train_step(case, expected_model, parallel, world)
    for number, count in enumerate(case.counts):
        given = replace(expected, accumulate_steps=count)
        list(_steps(given, world, range(number, number + 1)))
    pairs = zip(_state(step, model), _state(expected, expected_model), strict=True)
    return max(float((one - other).abs().max()) for one, other in pairs)


def _model(case: Case, world: World) -> tuple[Classifier, Shortage]:
    seen = [0]

    def ends(step: int, images: int) -> bool:
        does_not_fit = images > case.limits.get(step, {}).get(world.rank, BATCH_SIZE)
        seen[0] += does_not_fit
        return does_not_fit and (not case.late or seen[0] % 2 == 0)

    shortage = Shortage(ends, backward=case.backward)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2),
        nn.BatchNorm2d(8) if case.norm else nn.Identity(),
        nn.ReLU(),
        nn.Dropout(case.dropout),
        nn.Flatten(),
        nn.Linear(72, 5),
        # Last, so that the backward pass begins here, also with a frozen backbone.
        shortage,
    )
    return Classifier(network, mean=(0.5,) * 3, std=(0.2,) * 3), shortage


def _train_step(case: Case, model: Classifier, parallel: nn.Module, world: World) -> TrainStep:
    scaler = loss_scaler(world.device, case.dtype)
    freeze = freeze_backbone(model, ("5.weight", "5.bias"), steps=case.frozen_steps)
    return TrainStep(
        model=parallel,
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9),
        dtype=case.dtype,
        grad_clip_norm=case.clip,
        ema=ModelEma(model, 0.9) if case.ema else None,
        scaler=scaler,
        freeze=freeze if case.frozen_steps else None,
        average=world.all_reduce_mean_,
    )


def _steps(
    step: TrainStep, world: World, numbers: range, shortage: Shortage | None = None
) -> Iterator[None]:
    """The steps `numbers`, with the trainer's loop."""
    size = BATCH_SIZE * world.world_size

    def batches() -> Iterator[Batch]:
        for number in numbers:
            if shortage:
                shortage.step = number
            generator = torch.Generator().manual_seed(100 * number + world.rank)
            shape = (BATCH_SIZE, 3, 8, 8)
            images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
            labels = torch.randint(5, (BATCH_SIZE,), generator=generator)
            yield Batch(images, labels, np.arange(BATCH_SIZE))

    for _ in train_steps(
        batches(),
        step,
        schedule=lambda position: 0.1,
        global_batch_size=size,
        position=numbers[0] * size,
        seed=world.rank,
    ):
        yield


def _state(step: TrainStep, model: nn.Module) -> list[torch.Tensor]:
    models = [model, *([step.ema.model] if step.ema else [])]
    tensors = [tensor for one in models for tensor in one.state_dict().values()]
    momenta = [state["momentum_buffer"] for state in step.optimizer.state.values()]
    scale = torch.tensor(step.scaler.get_scale())
    return [copy.deepcopy(tensor.detach()).double() for tensor in [*tensors, *momenta, scale]]


def _nothing_fits(world: World) -> None:
    """All ranks raise the error, in the same step, though memory ends on the last rank only."""
    case = Case(limits={1: {world.world_size - 1: 0}}, counts=(), norm=True)
    model, shortage = _model(case, world)
    found = MicroBatches(model=model, world=world, batch_size=BATCH_SIZE, smallest=2)
    step = replace(_train_step(case, model, model, world), micro_batches=found)
    made = 0
    try:
        for _ in _steps(step, world, range(STEPS), shortage):
            made += 1
    except NoSmallerBatchError:
        assert (made, found.count) == (1, 6)
    else:
        raise AssertionError


if __name__ == "__main__":
    main()
