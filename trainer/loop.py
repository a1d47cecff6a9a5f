"""The training loop: batches -> ``train_steps`` -> a StepRecord per step.

The trainer and the benchmarks use the same loop.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch.profiler import record_function

from pipeline.batch import Batch
from pipeline.mixup import Mixing
from trainer.train_step import TrainStep

# Name of the wait for a batch in a trace.
DATA_SPAN = "wait for data"


@dataclass(frozen=True)
class StepRecord:
    """Result and times of a step on this rank.

    Attributes:
        position: samples of all ranks up to the end of the step.
        images: number of images on this rank.
        loss: float32 scalar on the device, the mean over this rank's batch. Reading it waits for
            the device.
        learning_rate: learning rate of the step.
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
    train_step: TrainStep,
    *,
    schedule: Callable[[float], float],
    global_batch_size: int,
    position: int = 0,
    seed: int = 0,
    mix: Mixing | None = None,
    synchronize: bool = False,
) -> Iterator[StepRecord]:
    """Make a step with each batch, starting at `position`.

    Args:
        schedule: position -> learning rate. It is evaluated in the middle of a step's samples, so
            that neither the first nor the last step has a learning rate of 0.
        seed: seed of dropout, together with the position; it should differ between ranks.
        mix: MixUp and CutMix.
        synchronize: whether to wait for the GPU after each step.
    """
    train_step.model.train()
    iterator = iter(batches)
    while True:
        started = time.perf_counter()
        with record_function(DATA_SPAN):
            batch = next(iterator, None)
        if batch is None:
            return
        fetched = time.perf_counter()
        learning_rate = schedule(position + global_batch_size / 2)
        images, targets = batch.images, batch.targets
        if mix is not None:
            images, targets = mix(images, targets, position)
        # Hashes of integers are equal in all processes.
        torch.manual_seed(hash((seed, position)))
        loss = train_step(images, targets, learning_rate, step=position // global_batch_size)
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
