"""Options of what a run logs, and where to."""

from dataclasses import dataclass
from importlib.util import find_spec

from pipeline.errors import MisuseError
from pipeline.options import COUNT, NOT_NEGATIVE, Options, setting

# Options of LogConfig that are also the names of an extra and of its package -> what they start.
TRACKERS = {"tensorboard": "TensorBoard", "wandb": "W&B", "mlflow": "MLflow"}


def is_installed(package: str) -> bool:
    """Whether `package` can be imported."""
    spec = find_spec(package)
    # W&B keeps runs in a folder "wandb", which Python takes for a package without code.
    return spec is not None and spec.origin is not None


@dataclass(frozen=True, kw_only=True)
class LogConfig(Options):
    """What a run logs."""

    log_every: int = setting(10, "Steps between records in metrics.jsonl.", COUNT, section="Log")
    show_batch: int = setting(
        16,
        "Draw this many images of the first batch into train_batch.png, with all augmentation and "
        "their labels; 0: none.",
        NOT_NEGATIVE,
    )
    tensorboard: bool = setting(False, "Also write the metrics for TensorBoard.")
    wandb: bool = setting(
        False,
        "Also log to Weights & Biases. Its environment variables (such as WANDB_PROJECT and "
        "WANDB_MODE) say where.",
    )
    mlflow: bool = setting(
        False,
        "Also log to MLflow. Its environment variables (such as MLFLOW_TRACKING_URI and "
        "MLFLOW_EXPERIMENT_NAME) say where.",
    )
    profile: bool = setting(False, "Write a Chrome trace of steps 14 to 18 of rank 0.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, title in TRACKERS.items():
            if getattr(self, name) and not is_installed(name):
                raise MisuseError(
                    f"--{name}: {title} is not installed: pip install -c constraints.txt -e "
                    f"'.[{name}]'"
                )
