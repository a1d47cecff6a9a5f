"""How far a run is, and what it must have in common with a checkpoint to resume from it."""

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.errors import DataError
from trainer.typed_values import record_from


@dataclass(kw_only=True)
class Progress:
    """Progress of a run.

    Attributes:
        position: samples seen by all ranks.
        evaluated_position: position of the last evaluation.
        best: metrics of the best evaluation by name, with the loss, empty before the first
            evaluation.
        best_position: position of the best evaluation.
        evaluations_without_gain: number of evaluations after the best one.
        spent_seconds: time used of ``--max-minutes``; 0 without it.
        step_origin: the position from which on steps have the present batch size; None in
            checkpoints of earlier versions.
        micro_batch_size: the number of images per rank to which ``--accumulate-steps auto`` had to
            divide a step; None if no step ran out of memory.
    """

    position: int = 0
    evaluated_position: int = 0
    best: dict[str, float] = field(default_factory=dict)
    best_position: int | None = None
    evaluations_without_gain: int = 0
    spent_seconds: float = 0.0
    step_origin: int | None = None
    micro_batch_size: int | None = None

    def add_evaluation(self, metrics: Mapping[str, float], *, is_gain: bool) -> None:
        """Record the `metrics` of an evaluation at the position, the best so far if `is_gain`."""
        self.evaluated_position = self.position
        self.evaluations_without_gain = 0 if is_gain else self.evaluations_without_gain + 1
        if is_gain:
            self.best, self.best_position = dict(metrics), self.position


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a checkpoint and the run that resumes from it must have in common."""

    fingerprint: str
    seed: int
    model: str
    classes: int
    fold: str | None = None
    train_samples: str | None = None


def parse_progress(values: object, *, step: object) -> Progress:
    """The progress of a run with batches of `step` samples, None if that is unknown.

    Raises ``ValueError`` unless a run can have this progress.
    """
    progress = record_from(Progress, values)
    position = progress.position
    counts = {
        "position": position,
        "evaluated_position": progress.evaluated_position,
        "best_position": progress.best_position or 0,
        "evaluations_without_gain": progress.evaluations_without_gain,
        "step_origin": progress.step_origin or 0,
    }
    for name, count in counts.items():
        if not 0 <= count <= position:
            raise ValueError(f"{name} {count} is not from 0 to the position {position}")
    if not 0 <= progress.spent_seconds < math.inf:
        raise ValueError(f"spent_seconds {progress.spent_seconds} is no time")
    if progress.micro_batch_size is not None and progress.micro_batch_size < 1:
        raise ValueError(f"micro_batch_size {progress.micro_batch_size} is no number of images")
    if progress.best_position is not None and not progress.best:
        raise ValueError(f"best_position {progress.best_position} has no metrics")
    origin = progress.step_origin
    if origin is not None and isinstance(step, int) and step > 0 and (position - origin) % step:
        raise ValueError(f"position {position} is inside a step of {step} samples")
    return progress


class OtherRunError(DataError):
    """A checkpoint of another run; `difference` is how it was saved."""

    def __init__(self, path: Path, difference: str, remedy: str) -> None:
        super().__init__(
            f"{path} was saved {difference}: {remedy}, or start a new run with another --out."
        )
        self.difference = difference


def require_identity(
    path: Path, saved: Identity, identity: Identity, earlier: Collection[str] = ()
) -> None:
    """Raise ``OtherRunError`` unless a run with `identity` may use the checkpoint `path` of a run
    with the identity `saved`. `earlier`: the fingerprints of its shards before appends."""
    if saved.fingerprint in earlier:
        raise OtherRunError(
            path,
            "before these shards were appended to, and the order of a run depends on their number "
            "of samples",
            f"give --pretrained {path} with another --out to go on from its weights with all "
            f"samples",
        )
    shards = ("with other shards", "give those with --shards")
    differences = {
        "fingerprint": shards,
        "seed": ("with another seed", f"give --seed {saved.seed}"),
        "model": (f"with another model, {saved.model}", "give it with --model"),
        "classes": shards,
        "fold": ("without a fold held out", "omit --fold"),
        "train_samples": ("with all training samples", "omit --train-samples"),
    }
    if saved.fold:
        differences["fold"] = (f"with fold {saved.fold} held out", f"give --fold {saved.fold}")
    if part := saved.train_samples:
        differences["train_samples"] = (f"with --train-samples {part}", "give that")
    for name, value in asdict(identity).items():
        if getattr(saved, name) != value:
            raise OtherRunError(path, *differences[name])
