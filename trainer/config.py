"""Options of the trainer: run, log and machine, and all of them together."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.options import COUNT, NOT_NEGATIVE, POSITIVE, Bounds, Options, pick_fields, setting
from trainer.log_config import LogConfig
from trainer.recipe_config import RecipeConfig
from trainer.tasks.metric_names import TASK_METRICS


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
    val_every: float = setting(
        1.0,
        "Epochs between evaluations; 0: only at the end.",
        NOT_NEGATIVE,
        show_default="1, more for few samples",
    )
    checkpoint_every: float = setting(
        1.0,
        "Epochs between checkpoints; 0: only after evaluations and at the end.",
        NOT_NEGATIVE,
        show_default="1, more for few samples",
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
        False,
        "Use only deterministic algorithms on GPUs, which are slower. On CPUs all algorithms are "
        "deterministic.",
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "auto: one GPU per rank if CUDA is available, else the CPU."
    )
    synthetic: bool = setting(
        False,
        "Train on one random batch, without shards.",
        not_with=("--shards", "--fold", "--train-samples", "--sample-weights"),
    )


CONFIGS = (RecipeConfig, RunConfig, LogConfig, MachineConfig, PipelineConfig)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All options of a run. No two configs have a field of the same name.

    `given` are the names of the options that the user, a recipe or a file sets; the others may
    follow from the data (``trainer.resolve``).
    """

    recipe: RecipeConfig
    run: RunConfig
    log: LogConfig
    machine: MachineConfig
    pipeline: PipelineConfig
    given: frozenset[str] = field(default=frozenset(), compare=False)

    def __post_init__(self) -> None:
        # pytorch/pytorch#169545, open with torch 2.14.
        mode = self.machine.compile
        if mode in ("reduce-overhead", "max-autotune") and self.recipe.accumulate_steps != 1:
            raise MisuseError(
                f"--compile {mode} uses CUDA graphs, which give an error or wrong gradients with "
                f"--accumulate-steps: give --compile default, or omit --accumulate-steps."
            )
        # DDP of torch 2.14 fails with an internal assertion, or does not average all gradients.
        others = {
            "--accumulate-steps": self.recipe.accumulate_steps != 1,
            "--freeze-backbone-epochs": self.recipe.freeze_backbone_epochs > 0,
        }
        for flag, is_set in others.items() if self.machine.static_graph else ():
            if is_set:
                raise MisuseError(f"--static-graph and {flag} do not work together: omit one.")
        if self.recipe.accumulate_steps == "auto" and self.machine.compress_gradients:
            raise MisuseError(
                "--compress-gradients is part of DDP, which --accumulate-steps auto does without: "
                "give a number, or omit --compress-gradients."
            )

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
            given=frozenset(values),
        )

    @property
    def parts(self) -> dict[str, Options]:
        """The five configs by name."""
        return {name: part for name, part in vars(self).items() if name != "given"}

    def with_values(self, values: Mapping[str, Any]) -> "Settings":
        """These settings with other `values` of some fields."""
        parts: dict[str, Any] = {
            name: replace(part, **{key: values[key] for key in vars(part).keys() & values.keys()})
            for name, part in self.parts.items()
        }
        return replace(self, **parts)

    def to_dict(self) -> dict[str, Any]:
        """All settings as field name -> value."""
        parts = map(asdict, self.parts.values())
        return {name: value for part in parts for name, value in part.items()}
