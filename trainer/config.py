"""What a user can say about a training run. Defaults where no source is named: ours."""

import dataclasses
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import click

from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.options import Options, pick_fields, setting

# The batch that `learning_rate` is stated for; others scale it linearly (Goyal et al. 2017,
# arXiv:1706.02677).
REFERENCE_BATCH_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class RecipeConfig(Options):
    """What is learned, and how. The figures are those of He et al. 2019, "Bag of Tricks",
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
        90.0, "Length of the run in passes over the training split.", section="Recipe", above=0
    )
    global_batch_size: int = setting(256, "Samples of a step over all ranks.", low=1)
    learning_rate: float = setting(
        0.1, "Highest learning rate at batch 256; scaled linearly with the global batch.", above=0
    )
    optimizer: str = setting(
        "sgd",
        "sgd: with Nesterov's momentum; lars: for large batches.",
        type=click.Choice(["sgd", "adamw", "lars"]),
    )
    # Nesterov's form is defined for a momentum above 0 alone.
    momentum: float = setting(0.9, "Momentum; AdamW's first beta.", above=0, below=1)
    weight_decay: float = setting(1e-4, "Weight decay; none on norms and biases.", low=0)
    label_smoothing: float = setting(
        0.1, "Share of the target spread over all classes, where an image has one.", low=0, below=1
    )
    warmup_epochs: float | None = setting(
        None, "Epochs of linear warm-up.  [default: 5, at most a tenth of the run]", low=0
    )
    schedule: str = setting(
        "cosine",
        "How the learning rate falls after the warm-up; step: to a tenth after each third.",
        type=click.Choice(["cosine", "linear", "step"]),
    )
    grad_clip_norm: float | None = setting(
        None,
        "Gradients whose norm over all weights is longer are cut to it.  [default: never]",
        above=0,
        aliases={"--clip-norm": None},
    )
    accumulate_steps: int = setting(
        1,
        "Parts that a rank's share of a step is computed in, where memory is short.",
        low=1,
        aliases={"--accumulate": None},
    )
    sync_bn: bool = setting(False, "Batch norm over the batch of all ranks; on GPUs alone.")
    ema_decay: float | None = setting(
        None,
        "Keep an average of the weights that holds on to this share of itself a step, and evaluate "
        "that.  [default: none]",
        above=0,
        below=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
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
class RunConfig(Options):
    """Where the run lies, when it is evaluated and saved."""

    max_minutes: float | None = setting(
        None,
        "Length of the run in wall time, in place of --epochs: the learning rate falls to zero at "
        "the deadline, warm-up is a tenth at most; the last evaluation comes after it.",
        section="Run",
        above=0,
    )
    target_top1: float | None = setting(
        None, "Stop at the first evaluation whose top-1 reaches this fraction.", above=0, high=1
    )
    val_every: float = setting(1.0, "Epochs between evaluations; 0: at the end alone.", low=0)
    checkpoint_every: float = setting(
        1.0, "Epochs between checkpoints, beside those that follow an evaluation; 0: none.", low=0
    )
    checkpoint_minutes: float = setting(
        10.0, "Minutes of training between checkpoints, beside the others; 0: none.", low=0
    )
    keep_checkpoints: int = setting(
        3, "How many of the last checkpoints stay, beside the best.", low=1
    )
    tta: str = setting(
        "none",
        "Test-time augmentation: also report metrics of predictions averaged over each image and "
        "its horizontal flip.",
        type=click.Choice(["none", "flip"]),
        aliases={"--flip-test": "flip"},
    )
    rank_timeout: float = setting(
        360.0,
        "Seconds that a rank waits for the others before the run ends with an error.",
        above=0,
    )
    out: str | None = setting(None, "Directory of the run.  [default: runs/<date-time>]")
    resume: str = setting(
        "auto",
        "auto: go on with what --out holds; never: refuse an --out that holds a run; or a "
        "checkpoint to go on from.",
        metavar="auto|never|PATH",
    )


@dataclass(frozen=True, kw_only=True)
class LogConfig(Options):
    """What is told of the run."""

    log_every: int = setting(10, "Steps between lines of metrics.jsonl.", section="Log", low=1)
    tensorboard: bool = setting(False, "Write the numbers of metrics.jsonl for TensorBoard, too.")
    profile: bool = setting(False, "Write a Chrome trace of rank 0's steps 14 to 18.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tensorboard and find_spec("tensorboard") is None:
            raise MisuseError(
                "--tensorboard: TensorBoard is not installed: pip install -c constraints.txt -e "
                "'.[tensorboard]'"
            )


@dataclass(frozen=True, kw_only=True)
class MachineConfig(Options):
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
    def from_options(cls, **values: Any) -> "Settings":
        """From the fields' values by name, defaults for the others; ``MisuseError`` for values that
        make no sense."""
        return cls(
            recipe=pick_fields(RecipeConfig, values),
            run=pick_fields(RunConfig, values),
            log=pick_fields(LogConfig, values),
            machine=pick_fields(MachineConfig, values),
            pipeline=pick_fields(PipelineConfig, values),
        )

    def to_dict(self) -> dict[str, Any]:
        """Every setting by its name."""
        parts = dataclasses.asdict(self).values()
        return {name: value for part in parts for name, value in part.items()}
