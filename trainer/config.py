"""Options of the trainer. A default without a source is the project's own choice."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.options import COUNT, NOT_NEGATIVE, POSITIVE, Bounds, Options, pick_fields, setting
from trainer.log_config import LogConfig
from trainer.tasks.metric_names import TASK_METRICS

# Batch size that `learning_rate` refers to; other sizes scale it linearly (Goyal et al. 2017,
# arXiv:1706.02677).
REFERENCE_BATCH_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class RecipeConfig(Options):
    """Model, optimizer and schedule. Defaults follow He et al. 2019, "Bag of Tricks",
    arXiv:1812.01187."""

    # Name only: the recipe's values are already the defaults of the other fields.
    recipe: str | None = None
    model: str = setting(
        "resnet50",
        "A torchvision classification model, or a ResNet for images of 32 px: resnet8, 14, 20, 32, "
        "44, 56 or 110. For masks a torchvision segmentation model, such as fcn_resnet50.",
        section="Model",
    )
    pretrained: str | None = setting(
        None,
        "Initialize the weights. imagenet: torchvision's default ones for the model (for masks "
        "those of COCO), downloaded once; else a URL or file of a state dict or of a checkpoint of "
        "this trainer. The last layer is initialized randomly if the number of classes differs.",
        metavar="imagenet|URL|FILE",
    )
    normalization: Literal["weights", "shards"] = setting(
        "weights",
        "Mean and standard deviation that normalize the input. weights: those that the "
        "--pretrained weights were trained with, if known, else the shards'; shards: those of the "
        "training split.",
    )
    freeze_backbone_epochs: float = setting(
        0.0,
        "Train only the last layer in this many first epochs. The other weights and the statistics "
        "of batch norms stay as they are.",
        NOT_NEGATIVE,
    )
    backbone_lr_factor: float = setting(
        1.0, "Multiply the learning rate by this factor in all layers but the last.", POSITIVE
    )
    blurpool: bool = setting(False, "Low-pass filter the input of strided convolutions (BlurPool).")
    epochs: float = setting(
        90.0, "Length of the run in passes over the training split.", POSITIVE, section="Recipe"
    )
    global_batch_size: int = setting(256, "Samples per step, summed over all ranks.", COUNT)
    learning_rate: float = setting(
        0.1, "Peak learning rate at batch 256; scales with the global batch size.", POSITIVE
    )
    optimizer: Literal["sgd", "adamw", "lars"] = setting(
        "sgd", "sgd: with Nesterov momentum; lars: layer-wise adaptive rates for large batches."
    )
    # Nesterov momentum is only defined above 0.
    momentum: float = setting(0.9, "Momentum; for AdamW the first beta.", Bounds(above=0, below=1))
    weight_decay: float = setting(1e-4, "Weight decay; norms and biases have none.", NOT_NEGATIVE)
    label_smoothing: float = setting(
        0.1, "Fraction of a class label spread evenly over all classes.", Bounds(low=0, below=1)
    )
    class_weights: str | None = setting(
        None,
        "Weights of the classes in the loss. inverse-frequency: a class with half the samples has "
        "twice the weight; FILE: a CSV with rows class,weight.  [default: 1 for each class]",
        metavar="inverse-frequency|FILE",
    )
    warmup_epochs: float | None = setting(
        None, "Epochs of linear warm-up.  [default: 5, at most a tenth of the run]", NOT_NEGATIVE
    )
    schedule: Literal["cosine", "linear", "step"] = setting(
        "cosine",
        "Decay of the learning rate after the warm-up; step: to a tenth after each third of a run.",
    )
    grad_clip_norm: float | None = setting(
        None,
        "Clip the global gradient norm to this value.  [default: no clipping]",
        POSITIVE,
        aliases={"--clip-norm": None},
    )
    accumulate_steps: int = setting(
        1,
        "Gradient accumulation: micro-batches per step and rank.",
        COUNT,
        aliases={"--accumulate": None},
    )
    sync_bn: bool = setting(False, "Synchronize batch norm across ranks (GPU only).")
    ema_decay: float | None = setting(
        None,
        "Decay of an exponential moving average of the weights; the average is evaluated.  "
        "[default: no average]",
        Bounds(above=0, below=1),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_epochs is not None and self.warmup_epochs > self.epochs:
            raise MisuseError(
                f"--warmup-epochs {self.warmup_epochs} is longer than the run "
                f"(--epochs {self.epochs}): lower it."
            )

    @property
    def resolved_warmup_epochs(self) -> float:
        """Epochs of warm-up, with the default filled in."""
        return min(5.0, self.epochs / 10) if self.warmup_epochs is None else self.warmup_epochs

    @property
    def peak_learning_rate(self) -> float:
        """Learning rate after the warm-up, scaled to the global batch size."""
        return self.learning_rate * self.global_batch_size / REFERENCE_BATCH_SIZE


def _list_metrics() -> str:
    """The names for ``--monitor`` of each task."""
    lists = (f"{task}: {', '.join(names)}" for task, names in TASK_METRICS.items())
    return "; ".join(lists) + "."


@dataclass(frozen=True, kw_only=True)
class RunConfig(Options):
    """Length, evaluations and checkpoints of a run."""

    max_minutes: float | None = setting(
        None,
        "Length of the run in minutes of wall time, instead of --epochs. The learning rate reaches "
        "zero at the deadline, the warm-up takes at most a tenth, and the last evaluation follows "
        "the deadline.",
        POSITIVE,
        section="Run",
    )
    target_top1: float | None = setting(
        None, "Stop at the first evaluation with this top-1 accuracy.", Bounds(above=0, high=1)
    )
    monitor: str | None = setting(
        None,
        f"Metric that selects the best checkpoint. {_list_metrics()}  [default: the task's first]",
        metavar="NAME",
    )
    patience: int | None = setting(
        None,
        "Stop after this many evaluations in a row without a better --monitor than before.  "
        "[default: no limit]",
        COUNT,
    )
    val_every: float = setting(1.0, "Epochs between evaluations; 0: only at the end.", NOT_NEGATIVE)
    checkpoint_every: float = setting(
        1.0, "Epochs between checkpoints; 0: only after evaluations and at the end.", NOT_NEGATIVE
    )
    checkpoint_minutes: float = setting(
        10.0, "Minutes between further checkpoints; 0: none.", NOT_NEGATIVE
    )
    keep_checkpoints: int = setting(
        3, "Number of latest checkpoints to keep, besides the best one.", COUNT
    )
    tta: Literal["none", "flip"] = setting(
        "none",
        "Test-time augmentation: also report metrics of predictions averaged over each image and "
        "its horizontal flip.",
        aliases={"--flip-test": "flip"},
    )
    rank_timeout: float = setting(
        360.0, "Seconds to wait for another rank before the run fails.", POSITIVE
    )
    out: str | None = setting(None, "Directory of the run.  [default: runs/<date-time>]")
    resume: str = setting(
        "auto",
        "auto: resume the run in --out if there is one; never: reject an --out that holds a run; "
        "PATH: resume from this checkpoint.",
        metavar="auto|never|PATH",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patience is not None and not self.val_every:
            raise MisuseError(
                f"--patience {self.patience} counts evaluations, but --val-every 0 has one, at the "
                f"end: raise --val-every."
            )


@dataclass(frozen=True, kw_only=True)
class MachineConfig(Options):
    """Device, precision and parallelism."""

    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = setting(
        "auto",
        "bf16, fp16: autocast, fp16 with loss scaling; tf32: TensorFloat-32 matrix products; "
        "auto: bf16 where it is faster; fp16 on GPUs below compute capability 8.0 where that is.",
        section="Machine",
    )
    compile: Literal["none", "default", "reduce-overhead", "max-autotune"] = setting(
        "none",
        "Mode of torch.compile, which compiles once for each image size; reduce-overhead and "
        "max-autotune use CUDA graphs.",
    )
    static_graph: bool = setting(False, "Static graph in DDP: all steps use the same parameters.")
    compress_gradients: bool = setting(False, "Exchange gradients between ranks in bfloat16.")
    deterministic: bool = setting(
        False, "Use only deterministic GPU algorithms, which are slower; on CPUs all are."
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "auto: one GPU per rank if CUDA is available, else the CPU."
    )
    synthetic: bool = setting(False, "Train on one random batch, without shards.")


CONFIGS = (RecipeConfig, RunConfig, LogConfig, MachineConfig, PipelineConfig)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All options of a run. No two configs have a field of the same name."""

    recipe: RecipeConfig
    run: RunConfig
    log: LogConfig
    machine: MachineConfig
    pipeline: PipelineConfig

    def __post_init__(self) -> None:
        # pytorch/pytorch#169545, open with torch 2.14.
        mode = self.machine.compile
        if mode in ("reduce-overhead", "max-autotune") and self.recipe.accumulate_steps > 1:
            raise MisuseError(
                f"--compile {mode} uses CUDA graphs, which give an error or wrong gradients with "
                f"--accumulate-steps: give --compile default, or omit --accumulate-steps."
            )
        # DDP of torch 2.14 fails with an internal assertion, or does not average all gradients.
        others = {
            "--accumulate-steps": self.recipe.accumulate_steps > 1,
            "--freeze-backbone-epochs": self.recipe.freeze_backbone_epochs > 0,
        }
        for flag, is_set in others.items() if self.machine.static_graph else ():
            if is_set:
                raise MisuseError(f"--static-graph and {flag} do not work together: omit one.")

    @classmethod
    def from_options(cls, **values: Any) -> "Settings":
        """Settings with the given field values and defaults for the others.

        Raises ``MisuseError`` for invalid values.
        """
        return cls(
            recipe=pick_fields(RecipeConfig, values),
            run=pick_fields(RunConfig, values),
            log=pick_fields(LogConfig, values),
            machine=pick_fields(MachineConfig, values),
            pipeline=pick_fields(PipelineConfig, values),
        )

    def to_dict(self) -> dict[str, Any]:
        """All settings as field name -> value."""
        parts = dataclasses.asdict(self).values()
        return {name: value for part in parts for name, value in part.items()}
