"""The trainer's own steps on synthetic batches, as contenders; and bare ones beside them."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from benchmarks.compute.work import Work, count_work
from benchmarks.measuring.laps import world_lap
from pipeline.batches import Batch
from pipeline.synthetic import synthetic_loader
from trainer.config import MachineConfig, RecipeConfig
from trainer.distributed.collectives import World
from trainer.distributed.ddp import wrap_ddp
from trainer.loop import train_steps
from trainer.model.build import Classifier, build_model
from trainer.model.precision import autocast_dtype, loss_scaler, set_float32
from trainer.optim.build import build_optimizer
from trainer.train_step import TrainStep

CLASSES = 1000
# The second step of a compiled model may record graphs.
FIRST_STEPS = 2
HALF = (0.5, 0.5, 0.5)

CONTIGUOUS, CHANNELS_LAST, COMPILED, GRAPHS = MODES = (
    *("contiguous", "channels-last"),
    *("compiled", "graphs"),
)
_COMPILE = {COMPILED: "default", GRAPHS: "reduce-overhead"}


@dataclass(frozen=True, kw_only=True)
class PreparedModel:
    """A model with what changes it, in one of MODES."""

    update: TrainStep
    mode: str
    world: World
    image_size_px: int
    work: Work
    learning_rate: float

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """The same batch for ever, in the memory format of the mode."""
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


def build_trained(
    name: str, *, mode: str, image_size_px: int, precision: str, world: World
) -> PreparedModel:
    """As ``trainer.setup`` builds a run's, with the default optimizer."""
    recipe = RecipeConfig(model=name)
    machine = MachineConfig(precision=precision, compile=_COMPILE.get(mode, "none"))
    model: Classifier = build_model(
        name, classes=CLASSES, image_size_px=image_size_px, mean=HALF, std=HALF, seed=0
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
    """A contender, once it is prepared: each call makes `steps` steps and returns the world's
    images/s.

    Attributes:
        seconds: that a call takes at least.
        peak_bytes: the most memory of the GPU that a step takes, with the weights and what the
            optimizer keeps of them; None on the CPU.
    """

    trained: PreparedModel
    batch_size: int
    seconds: float
    steps: int = 0
    peak_bytes: int | None = None

    def __post_init__(self) -> None:
        self._records = self._run()

    def __call__(self) -> float:
        return world_lap(self.work, self.trained.world, self.synchronize).images_per_second

    @property
    def gradient_bytes(self) -> int:
        """That each rank gives to the exchange in a step: DDP exchanges the weights' own type."""
        weights = self.trained.update.model.parameters()
        return sum(weight.nbytes for weight in weights if weight.requires_grad)

    def prepare(self) -> None:
        """Make the first steps, which compile, allocate and choose algorithms, and count how many
        a call is to make: on all ranks the same.

        Raises ``torch.OutOfMemoryError``.
        """
        device = self.trained.world.device
        before = 0
        if device.type == "cuda":
            before = torch.cuda.memory_allocated(device) - _own_bytes(self.trained.update)
            torch.cuda.reset_peak_memory_stats(device)
        for _ in range(FIRST_STEPS):
            next(self._records)
        self.synchronize()
        started = time.perf_counter()
        next(self._records)
        self.synchronize()
        own = time.perf_counter() - started
        if device.type == "cuda":
            self.peak_bytes = torch.cuda.max_memory_allocated(device) - before
        slowest = max(row[0] for row in self.trained.world.all_gather([own]))
        self.steps = max(1, math.ceil(self.seconds / slowest))

    def _run(self) -> Generator[int]:
        trained = self.trained
        for record in train_steps(
            trained.batches(self.batch_size),
            trained.update,
            schedule=lambda position: trained.learning_rate,
            global_batch_size=self.batch_size * trained.world.world_size,
        ):
            yield record.images

    def work(self) -> int:
        """Images of this rank."""
        return sum(next(self._records) for _ in range(self.steps))

    def synchronize(self) -> None:
        if self.trained.world.device.type == "cuda":
            torch.cuda.synchronize(self.trained.world.device)


def _own_bytes(update: TrainStep) -> int:
    """Of weights, buffers and what the optimizer keeps of them so far."""
    kept = (each for state in update.optimizer.state.values() for each in state.values())
    tensors = (*update.model.parameters(), *update.model.buffers(), *kept)
    return sum(each.nbytes for each in tensors if isinstance(each, torch.Tensor))


def bare_steps(steps: Steps) -> Callable[[], float]:
    """What any training loop must do, and nothing else: a contender beside `steps`, whose model,
    batches and number of steps it takes."""
    trained = steps.trained

    def run() -> float:
        batch = next(trained.batches(steps.batch_size))
        lap = world_lap(
            lambda: _bare(trained.update, batch, steps.steps), trained.world, steps.synchronize
        )
        return lap.images_per_second

    return run


def _bare(update: TrainStep, batch: Any, steps: int) -> int:
    for _ in range(steps):
        with torch.autocast(batch.images.device.type, update.dtype, enabled=bool(update.dtype)):
            logits = update.model(batch.images)
        cross_entropy(logits.float(), batch.targets).backward()  # type: ignore[no-untyped-call]
        update.optimizer.step()
        update.optimizer.zero_grad(set_to_none=True)
    return steps * len(batch.samples)
