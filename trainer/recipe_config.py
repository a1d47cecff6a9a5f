"""Options of model, optimizer and schedule. A default without a source is our own choice."""

from dataclasses import dataclass, replace
from typing import Literal

from pipeline.errors import MisuseError
from pipeline.option_types import IntegerOr
from pipeline.options import COUNT, NOT_NEGATIVE, POSITIVE, Bounds, setting
from trainer.data_defaults import EPOCHS, MAX_BATCH_SIZE, default_warmup_epochs
from trainer.model_config import ModelConfig

# Batch size that `learning_rate` refers to; other sizes scale it linearly (Goyal et al. 2017,
# arXiv:1706.02677).
REFERENCE_BATCH_SIZE = 256
# He et al. 2019 for SGD; Loshchilov & Hutter 2019, arXiv:1711.05101, for AdamW.
LEARNING_RATE, ADAMW_LEARNING_RATE = 0.1, 0.001
BY_SAMPLES = "by the number of training samples"


@dataclass(frozen=True, kw_only=True)
class RecipeConfig(ModelConfig):
    """Model, optimizer and schedule. Defaults follow He et al. 2019, "Bag of Tricks",
    arXiv:1812.01187."""

    # Name only: the recipe's values are already the defaults of the other fields.
    recipe: str | None = None
    epochs: float = setting(
        EPOCHS,
        "Length of the run in passes over the training split; the last step is the one that "
        "completes them.",
        Bounds(above=0, high=1e9),
        section="Recipe",
        show_default=BY_SAMPLES,
        not_with="--max-minutes",
    )
    global_batch_size: int = setting(
        MAX_BATCH_SIZE, "Samples per step, summed over all ranks.", COUNT, show_default=BY_SAMPLES
    )
    learning_rate: float | None = setting(
        None,
        "Peak learning rate, at batch 256 if it is scaled.  [default: 0.1; 0.001 for adamw]",
        POSITIVE,
    )
    lr_scaling: Literal["linear", "none"] | None = setting(
        None,
        "linear: multiply the learning rate by global batch size / 256; none: the peak is "
        "--learning-rate.  [default: linear for sgd and lars, none for adamw]",
    )
    optimizer: Literal["sgd", "adamw", "lars"] = setting(
        "sgd", "sgd: with Nesterov momentum; lars: layer-wise adaptive rates for large batches."
    )
    # Nesterov momentum is only defined above 0.
    momentum: float = setting(0.9, "Momentum; for AdamW the first beta.", Bounds(above=0, below=1))
    weight_decay: float = setting(1e-4, "Weight decay; norms and biases have none.", NOT_NEGATIVE)
    loss: Literal["auto", "cross-entropy", "focal", "bce"] = setting(
        "auto",
        "Loss of the training. focal: classes that are predicted well already count less; bce: "
        "binary cross entropy of each class against all others. auto: cross-entropy for classes "
        "and masks, bce for multi-label, the squared error for regression.",
    )
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
    accumulate_steps: int | Literal["auto"] = setting(
        1,
        "Gradient accumulation: micro-batches per step and rank. auto: start with one, and "
        "compute a step that runs out of memory again in more of them.",
        COUNT,
        type=IntegerOr("auto"),
        metavar="N|auto",
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
        if self.accumulate_steps == "auto" and self.sync_bn:
            raise MisuseError(
                "--sync-bn and --accumulate-steps auto do not work together: a rank that runs out "
                "of memory would leave the others waiting in a batch norm; give a number, or omit "
                "--sync-bn."
            )

    @property
    def resolved_warmup_epochs(self) -> float:
        """Epochs of warm-up, with the default filled in."""
        given = self.warmup_epochs
        return default_warmup_epochs(self.epochs) if given is None else given

    @property
    def resolved_learning_rate(self) -> float:
        """`learning_rate`, with the default of the optimizer filled in."""
        default = ADAMW_LEARNING_RATE if self.optimizer == "adamw" else LEARNING_RATE
        return default if self.learning_rate is None else self.learning_rate

    @property
    def resolved_lr_scaling(self) -> Literal["linear", "none"]:
        """`lr_scaling`, with the default of the optimizer filled in."""
        return self.lr_scaling or ("none" if self.optimizer == "adamw" else "linear")

    @property
    def peak_learning_rate(self) -> float:
        """Learning rate after the warm-up, scaled to the global batch size by `lr_scaling`."""
        is_scaled = self.resolved_lr_scaling == "linear"
        factor = self.global_batch_size / REFERENCE_BATCH_SIZE if is_scaled else 1.0
        return self.resolved_learning_rate * factor

    def learning_rate_of(self, peak: float) -> float:
        """The --learning-rate whose ``peak_learning_rate`` is `peak`."""
        return peak / replace(self, learning_rate=1.0).peak_learning_rate
