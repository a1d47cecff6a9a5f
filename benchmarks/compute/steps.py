"""The trainer's steps on synthetic batches, and bare steps, as candidates."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from benchmarks.compute.config import COMPILED, CONTIGUOUS, GRAPHS
from benchmarks.compute.work import Work, count_work
from benchmarks.measuring.laps import measure_world_lap, synchronize
from pipeline.batch import Batch
from pipeline.options import pick_fields
from pipeline.synthetic import synthetic_loader
from trainer.config import MachineConfig
from trainer.distributed.collectives import World
from trainer.distributed.ddp import wrap_ddp
from trainer.loop import train_steps
from trainer.model.build import Classifier, build_model
from trainer.model.precision import autocast_dtype, loss_scaler, set_float32
from trainer.model.sources.find import find_model
from trainer.model.sources.source import NetworkSpec
from trainer.optim.build import build_optimizer
from trainer.recipe_config import RecipeConfig
from trainer.train_step import TrainStep

CLASSES = 1000
# The second step of a compiled model may capture CUDA graphs.
FIRST_STEPS = 2
HALF = (0.5, 0.5, 0.5)
_COMPILE = {COMPILED: "default", GRAPHS: "reduce-overhead"}


@dataclass(frozen=True, kw_only=True)
class PreparedModel:
    """A model in one of MODES, with its optimizer."""

    update: TrainStep
    mode: str
    world: World
    image_size_px: int
    work: Work
    learning_rate: float

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """One synthetic batch, repeated, in the memory format of the mode."""
        loader = synthetic_loader(
            batch_size=batch_size,
            image_size=self.image_size_px,
            classes=CLASSES,
            device=self.world.device,
            world_size=self.world.world_size,
        )
        batch = next(iter(loader))
        if self.mode == CONTIGUOUS:
            batch = Batch(batch.images.contiguous(), batch.targets, batch.samples)
        while True:
            yield batch


def prepare_model(
    name: str, *, mode: str, image_size_px: int, precision: str, world: World
) -> PreparedModel:
    """Build a model as ``trainer.setup`` does, with the default optimizer."""
    recipe = RecipeConfig(model=name)
    options = {"precision": precision, "compile": _COMPILE.get(mode, "none")}
    machine = pick_fields(MachineConfig, options)
    model: Classifier = build_model(
        find_model(name),
        NetworkSpec(classes=CLASSES, image_size_px=image_size_px),
        mean=HALF,
        std=HALF,
        seed=0,
    ).to(world.device)
    if mode == CONTIGUOUS:
        model = model.to(memory_format=torch.contiguous_format)
    dtype = autocast_dtype(precision, world.device, model)
    set_float32(precision)
    work = count_work(model, image_size_px=image_size_px, device=world.device, dtype=dtype)
    return PreparedModel(
        update=TrainStep(
            model=wrap_ddp(model, world, machine),
            optimizer=build_optimizer(model, recipe),
            dtype=dtype,
            scaler=loss_scaler(world.device, dtype),
        ),
        mode=mode,
        world=world,
        image_size_px=image_size_px,
        work=work,
        learning_rate=recipe.peak_learning_rate,
    )


@dataclass(kw_only=True)
class Steps:
    """A candidate after ``prepare``: each call makes `steps` steps and returns the world's
    images/s.

    Attributes:
        seconds: minimum duration of a call.
        peak_bytes: peak GPU memory of a step, including weights and optimizer state; None on a CPU.
    """

    model: PreparedModel
    batch_size: int
    seconds: float
    steps: int = 0
    peak_bytes: int | None = None

    def __post_init__(self) -> None:
        self._images = self._run()

    def __call__(self) -> float:
        return measure_world_lap(self.work, self.model.world).images_per_second

    @property
    def gradient_bytes(self) -> int:
        """That each rank contributes to the all-reduce of a step, in the weights' own dtype."""
        weights = self.model.update.model.parameters()
        return sum(weight.nbytes for weight in weights if weight.requires_grad)

    def prepare(self) -> None:
        """Make the first steps, which compile, allocate and choose algorithms, and set the number
        of steps of a call, which is the same on all ranks.

        Raises ``torch.OutOfMemoryError``.
        """
        device, before = self.model.world.device, 0
        if device.type == "cuda":
            before = torch.cuda.memory_allocated(device) - _state_bytes(self.model.update)
            torch.cuda.reset_peak_memory_stats(device)
        for _ in range(FIRST_STEPS):
            next(self._images)
        synchronize(device)
        start = time.perf_counter()
        next(self._images)
        synchronize(device)
        seconds = time.perf_counter() - start
        if device.type == "cuda":
            self.peak_bytes = torch.cuda.max_memory_allocated(device) - before
        (slowest,) = self.model.world.all_reduce_max([seconds])
        self.steps = max(1, math.ceil(self.seconds / slowest))

    def work(self) -> int:
        """Make the steps of a call; returns the number of images of this rank."""
        return sum(next(self._images) for _ in range(self.steps))

    def _run(self) -> Generator[int]:
        model = self.model
        for record in train_steps(
            model.batches(self.batch_size),
            model.update,
            schedule=lambda position: model.learning_rate,
            global_batch_size=self.batch_size * model.world.world_size,
        ):
            yield record.images


def _state_bytes(update: TrainStep) -> int:
    """Size of weights, buffers and the optimizer's state so far."""
    state = (value for states in update.optimizer.state.values() for value in states.values())
    tensors = (*update.model.parameters(), *update.model.buffers(), *state)
    return sum(tensor.nbytes for tensor in tensors if isinstance(tensor, torch.Tensor))


def bare_steps(steps: Steps) -> Callable[[], float]:
    """A candidate with only the necessary parts of a training loop, and the model, batches and
    number of steps of `steps`."""
    model = steps.model

    def measure() -> float:
        batch = next(model.batches(steps.batch_size))
        lap = measure_world_lap(lambda: _train(model.update, batch, steps.steps), model.world)
        return lap.images_per_second

    return measure


def _train(update: TrainStep, batch: Batch, steps: int) -> int:
    for _ in range(steps):
        with torch.autocast(batch.images.device.type, update.dtype, enabled=bool(update.dtype)):
            logits = update.model(batch.images)
        cross_entropy(logits.float(), batch.targets).backward()  # type: ignore[no-untyped-call]
        update.optimizer.step()
        update.optimizer.zero_grad(set_to_none=True)
    return steps * len(batch.samples)
