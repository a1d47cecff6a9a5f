"""The training loop, the only one there is.

stream -> train_steps -> StepRecord, one a step, to whoever drives: the trainer, a benchmark
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch.profiler import record_function

from pipeline.batches import Batch
from pipeline.mixup import Mixing
from trainer.train_step import TrainStep

# What waiting for a batch is called in a trace.
DATA_SPAN = "wait for data"


@dataclass(frozen=True)
class StepRecord:
    """What a step did.

    Attributes:
        position: behind the step's samples.
        images: of this rank.
        loss: float32 scalar on the device, mean over this rank's batch. Reading it waits for the
            device.
        learning_rate: that the step was made with.
        data_seconds: time waiting for the batch.
        compute_seconds: the rest; on a GPU without `synchronize`, the time to enqueue it.
    """

    position: int
    images: int
    loss: torch.Tensor
    learning_rate: float
    data_seconds: float
    compute_seconds: float


def train_steps(
    batches: Iterable[Batch],
    update: TrainStep,
    *,
    schedule: Callable[[float], float],
    global_batch_size: int,
    position: int = 0,
    seed: int = 0,
    mix: Mixing | None = None,
    synchronize: bool = False,
) -> Iterator[StepRecord]:
    """Make a step of each batch, from `position` on.

    The learning rate is the schedule's in the middle of the step's samples: neither the first nor
    the last step is made with 0. What a model draws (dropout) is a function of `seed`, each rank's
    own, and the position.
    """
    update.model.train()
    coming = iter(batches)
    while True:
        started = time.perf_counter()
        with record_function(DATA_SPAN):
            batch = next(coming, None)
        if batch is None:
            return
        fetched = time.perf_counter()
        learning_rate = schedule(position + global_batch_size / 2)
        images, targets = batch.images, batch.targets
        if mix is not None:
            images, targets = mix(images, targets, position)
        # The hash of integers is the same in every process.
        torch.manual_seed(hash((seed, position)))
        loss = update(images, targets, learning_rate, step=position // global_batch_size)
        if synchronize and batch.images.is_cuda:
            torch.cuda.synchronize(batch.images.device)
        position += global_batch_size
        yield StepRecord(
            position=position,
            images=len(batch.samples),
            loss=loss,
            learning_rate=learning_rate,
            data_seconds=fetched - started,
            compute_seconds=time.perf_counter() - fetched,
        )
