"""The training loop, the only one there is, and the evaluation.

stream -> train_steps -> StepRecord, one a step, to whoever drives: the trainer, a benchmark
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pipeline.decoding import Batch
from pipeline.mixing import Mixing
from trainer.distributed import World
from trainer.update import Update


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
        compute_seconds: the rest; on a GPU without `synchronise`, the time to enqueue it.
    """

    position: int
    images: int
    loss: torch.Tensor
    learning_rate: float
    data_seconds: float
    compute_seconds: float


def train_steps(
    batches: Iterable[Batch],
    update: Update,
    *,
    schedule: Callable[[float], float],
    global_batch_size: int,
    position: int = 0,
    seed: int = 0,
    mix: Mixing | None = None,
    synchronise: bool = False,
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
        batch = next(coming, None)
        if batch is None:
            return
        fetched = time.perf_counter()
        learning_rate = schedule(position + global_batch_size / 2)
        images, targets = batch.images, batch.labels
        if mix is not None:
            images, targets = mix(images, targets, position)
        # The hash of integers is the same in every process.
        torch.manual_seed(hash((seed, position)))
        loss = update(images, targets, learning_rate)
        if synchronise and batch.images.is_cuda:
            torch.cuda.synchronize(batch.images.device)
        position += global_batch_size
        yield StepRecord(
            position=position,
            images=len(batch.labels),
            loss=loss,
            learning_rate=learning_rate,
            data_seconds=fetched - started,
            compute_seconds=time.perf_counter() - fetched,
        )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Counts over all ranks, each sample once; `loss` is the mean cross entropy, not smoothed."""

    samples: int
    top1_correct: int
    top5_correct: int
    loss: float

    @property
    def top1(self) -> float:
        return self.top1_correct / self.samples

    @property
    def top5(self) -> float:
        return self.top5_correct / self.samples


def evaluate(
    batches: Iterable[Batch],
    model: nn.Module,
    world: World,
    *,
    dtype: torch.dtype | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Evaluation | None:
    """Score `model`, not its DDP wrapper: ranks may have different numbers of batches.

    Each rank asks `stopped` between batches; None on all ranks once it was true on one.
    """
    # samples, top-1, top-5, summed loss: float64 counts exactly up to 2^53.
    totals = torch.zeros(4, dtype=torch.float64, device=world.device)
    interrupted = False
    model.eval()
    with torch.inference_mode():
        for batch in batches:
            interrupted = stopped()
            if interrupted:
                break
            with torch.autocast(world.device.type, dtype, enabled=dtype is not None):
                logits = model(batch.images)
            totals += score(logits.float(), batch.labels)
    model.train()
    samples, top1, top5, loss, interruptions = world.sum([*totals.tolist(), float(interrupted)])
    if interruptions or not samples:
        return None
    return Evaluation(
        samples=int(samples), top1_correct=int(top1), top5_correct=int(top5), loss=loss / samples
    )


def score(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """float64 (4,): samples, top-1 correct, top-5 correct, summed cross entropy.

    Args:
        logits: float32 (B, classes); with fewer than 5 classes, top-5 is top-all.
        labels: int64 (B,); -1 doesn't count.
    """
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices
    hits = best == labels[:, None]
    return torch.stack(
        [
            (labels >= 0).sum(dtype=torch.float64),
            hits[:, 0].sum(dtype=torch.float64),
            hits.sum(dtype=torch.float64),
            cross_entropy(logits, labels, ignore_index=-1, reduction="sum").double(),
        ]
    )
