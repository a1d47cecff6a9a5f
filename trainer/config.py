"""What a user can say about a training run. Defaults where no source is named: ours."""

import dataclasses
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import click

from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.options import setting, take

# The batch that `learning_rate` is stated for; others scale it linearly (Goyal et al. 2017,
# arXiv:1706.02677).
REFERENCE_BATCH_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """What is learnt, and how. The figures are those of He et al. 2019, "Bag of Tricks",
    arXiv:1812.01187."""

    # Its settings are those of the fields already.
    recipe: str | None = None
    model: str = setting(
        "resnet50",
        "Any torchvision classifier, by its name there; resnet8, 14, 20, 32, 44, 56 or 110, narrow "
        "ones for images of 32 px; for masks a model of segmentation (fcn_resnet50).",
        section="Model",
    )
    pretrained: str | None = setting(
        None,
        "Start from the weights in this file, a state dict or a checkpoint of ours; with other "
        "classes its last layer is left out.",
        metavar="FILE",
    )
    blurpool: bool = setting(False, "Blur what convolutions with strides read.")
    epochs: float = setting(
        90.0, "Length of the run in passes over the training split.", section="Recipe"
    )
    global_batch_size: int = setting(256, "Samples of a step over all ranks.")
    learning_rate: float = setting(
        0.1, "Highest learning rate at batch 256; scaled linearly with the global batch."
    )
    optimizer: str = setting(
        "sgd",
        "sgd: with Nesterov's momentum; lars: for large batches.",
        type=click.Choice(["sgd", "adamw", "lars"]),
    )
    momentum: float = setting(0.9, "Momentum; AdamW's first beta.")
    weight_decay: float = setting(1e-4, "Weight decay; none on norms and biases.")
    label_smoothing: float = setting(
        0.1, "Share of the target spread over all classes, where an image has one."
    )
    warmup_epochs: float | None = setting(
        None, "Epochs of linear warm-up.  [default: 5, at most a tenth of the run]"
    )
    schedule: str = setting(
        "cosine",
        "How the learning rate falls after the warm-up; step: to a tenth after each third.",
        type=click.Choice(["cosine", "linear", "step"]),
    )
    clip_norm: float | None = setting(
        None, "Gradients whose norm over all weights is longer are cut to it.  [default: never]"
    )
    accumulate: int = setting(
        1, "Parts that a rank's share of a step is computed in, where memory is short."
    )
    sync_bn: bool = setting(False, "Batch norm over the batch of all ranks; on GPUs alone.")
    ema_decay: float | None = setting(
        None,
        "Keep an average of the weights that holds on to this share of itself a step, and evaluate "
        "that.  [default: none]",
    )

    def __post_init__(self) -> None:
        _positive("--epochs", self.epochs)
        _positive("--global-batch-size", self.global_batch_size)
        _positive("--learning-rate", self.learning_rate)
        _positive("--accumulate", self.accumulate)
        if self.clip_norm is not None:
            _positive("--clip-norm", self.clip_norm)
        _not_negative("--weight-decay", self.weight_decay)
        _not_negative("--warmup-epochs", self.warmup_epochs or 0.0)
        # Nesterov's form is defined for a momentum above 0 alone.
        if not 0 < self.momentum < 1:
            raise MisuseError(f"--momentum must lie between 0 and 1, not {self.momentum}.")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise MisuseError(f"--ema-decay must lie between 0 and 1, not {self.ema_decay}.")
        if not 0 <= self.label_smoothing < 1:
            raise MisuseError(
                f"--label-smoothing must be from 0 to below 1, not {self.label_smoothing}."
            )
        if self.warmup_epochs is not None and self.warmup_epochs > self.epochs:
            raise MisuseError(
                f"--warmup-epochs {self.warmup_epochs} is longer than the run "
                f"(--epochs {self.epochs})."
            )

    @property
    def resolved_warmup_epochs(self) -> float:
        return min(5.0, self.epochs / 10) if self.warmup_epochs is None else self.warmup_epochs

    @property
    def peak_learning_rate(self) -> float:
        return self.learning_rate * self.global_batch_size / REFERENCE_BATCH_SIZE


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where the run lies, when it is evaluated and saved."""

    max_minutes: float | None = setting(
        None,
        "Length of the run in wall time, in place of --epochs: the learning rate falls to zero at "
        "the deadline, warm-up is a tenth at most; the last evaluation comes after it.",
        section="Run",
    )
    target_top1: float | None = setting(
        None, "Stop at the first evaluation whose top-1 reaches this fraction."
    )
    val_every: float = setting(1.0, "Epochs between evaluations; 0: at the end alone.")
    checkpoint_every: float = setting(
        1.0, "Epochs between checkpoints, beside those that follow an evaluation; 0: none."
    )
    checkpoint_minutes: float = setting(
        10.0, "Minutes of training between checkpoints, beside the others; 0: none."
    )
    keep_checkpoints: int = setting(3, "How many of the last checkpoints stay, beside the best.")
    flip_test: bool = setting(
        False, "Evaluate means over images and their mirror images, too; reported apart."
    )
    rank_timeout: float = setting(
        360.0, "Seconds that a rank waits for the others before the run ends with an error."
    )
    out: str | None = setting(None, "Directory of the run.  [default: runs/<date-time>]")
    resume: str = setting(
        "auto",
        "auto: go on with what --out holds; never: refuse an --out that holds a run; or a "
        "checkpoint to go on from.",
        metavar="auto|never|PATH",
    )

    def __post_init__(self) -> None:
        _not_negative("--val-every", self.val_every)
        if self.max_minutes is not None:
            _positive("--max-minutes", self.max_minutes)
        if self.target_top1 is not None and not 0 < self.target_top1 <= 1:
            raise MisuseError(f"--target-top1 must lie in (0, 1], not {self.target_top1}.")
        _not_negative("--checkpoint-every", self.checkpoint_every)
        _not_negative("--checkpoint-minutes", self.checkpoint_minutes)
        _positive("--keep-checkpoints", self.keep_checkpoints)
        _positive("--rank-timeout", self.rank_timeout)


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """What is told of the run."""

    log_every: int = setting(10, "Steps between lines of metrics.jsonl.", section="Log")
    tensorboard: bool = setting(False, "Write the numbers of metrics.jsonl for TensorBoard, too.")
    profile: bool = setting(False, "Write a Chrome trace of rank 0's steps 14 to 18.")

    def __post_init__(self) -> None:
        _positive("--log-every", self.log_every)
        if self.tensorboard and find_spec("tensorboard") is None:
            raise MisuseError(
                "--tensorboard: TensorBoard is not installed: pip install -c constraints.txt -e "
                "'.[tensorboard]'"
            )


@dataclass(frozen=True, kw_only=True)
class MachineConfig:
    """What the run is computed on, and how."""

    precision: str = setting(
        "auto",
        "bf16, fp16: autocast, fp16 with a scaled loss; tf32: float32 whose factors are rounded "
        "on the GPU; auto: bf16 where it is faster.",
        type=click.Choice(["auto", "fp32", "tf32", "bf16", "fp16"]),
        section="Machine",
    )
    compile: str = setting(
        "none",
        "Mode of torch.compile; reduce-overhead and max-autotune record CUDA graphs.",
        type=click.Choice(["none", "default", "reduce-overhead", "max-autotune"]),
    )
    static_graph: bool = setting(
        False, "Tell DDP that each step uses the same weights in the same order."
    )
    compress_gradients: bool = setting(False, "Ranks exchange gradients in bfloat16.")
    deterministic: bool = setting(
        False,
        "On GPUs, only algorithms that give the same bits each time, which are slower; on CPUs all "
        "do.",
    )
    device: str = setting(
        "auto",
        "auto: a GPU for each rank where there is CUDA.",
        type=click.Choice(["auto", "cpu", "cuda"]),
    )
    synthetic: bool = setting(False, "Train on one random batch: needs no shards.")


CONFIGS = (RecipeConfig, RunConfig, LogConfig, MachineConfig, PipelineConfig)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a run is told. No two of the configs have a field of the same name."""

    recipe: RecipeConfig
    run: RunConfig
    log: LogConfig
    machine: MachineConfig
    pipeline: PipelineConfig

    @classmethod
    def of(cls, **values: Any) -> "Settings":
        """From the fields' values by name, defaults for the others; ``MisuseError`` for values that
        make no sense."""
        return cls(
            recipe=take(RecipeConfig, values),
            run=take(RunConfig, values),
            log=take(LogConfig, values),
            machine=take(MachineConfig, values),
            pipeline=take(PipelineConfig, values),
        )

    def plain(self) -> dict[str, Any]:
        """Every setting by its name."""
        parts = dataclasses.asdict(self).values()
        return {name: value for part in parts for name, value in part.items()}


def _positive(flag: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise MisuseError(f"{flag} must be positive and finite, not {value}.")


def _not_negative(flag: str, value: float) -> None:
    if not 0 <= value < float("inf"):
        raise MisuseError(f"{flag} must be 0 or more, not {value}.")
