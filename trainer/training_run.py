"""A run in training: its parts, its length, and when it is over."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from pipeline.loader import Loader
from pipeline.mixup import Mixing
from trainer.checkpoints.checkpoint_file import Checkpoint
from trainer.checkpoints.progress import Progress
from trainer.compile_errors import explained_compilation
from trainer.config import Settings
from trainer.data import TrainingData, train_batches
from trainer.distributed.collectives import World
from trainer.model.build import Classifier
from trainer.model.sources.own_file import OwnModel
from trainer.model.sources.source import ModelSource, WeightsInput
from trainer.model.sources.stored_file import CONFIG_KEY, record_of
from trainer.optim.build import build_schedule
from trainer.optim.schedule import Schedule
from trainer.out_of_memory import explained_memory
from trainer.run.run_dir import RunDir, launch_id
from trainer.stopping import TimeBudget
from trainer.tasks.tasks import Task, task_record
from trainer.train_step import TrainStep


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """The parts of a run; only `progress` and `time_budget` change during training.

    Attributes:
        model_source: where the model comes from.
        model: the model without DDP; `train_step` updates it.
        mix: MixUp and CutMix; None without them.
        checkpoint: what the run resumes from; None for a new run.
        weights_input: the input that the weights of --pretrained expect; None without such weights,
            or if it is unknown.
        notes: lines about recipe and weights for the startup message.
        open_batches: builds the training loader, with the parameters of ``train_batches``.
    """

    settings: Settings
    world: World
    data: TrainingData
    task: Task
    run_dir: RunDir
    model_source: ModelSource
    model: Classifier
    train_step: TrainStep
    mix: Mixing | None
    checkpoint: Checkpoint | None
    progress: Progress
    time_budget: TimeBudget
    notes: tuple[str, ...]
    weights_input: WeightsInput | None = None
    open_batches: Callable[..., Loader] = train_batches

    def batches(self, position: int, end_position: int | None) -> Loader:
        """This rank's training batches between two positions; None for no end."""
        return self.open_batches(
            self.data,
            self.settings.pipeline,
            self.world,
            global_batch_size=self.settings.recipe.global_batch_size,
            position=position,
            end_position=end_position,
        )

    @contextmanager
    def explained(self, where: str) -> Iterator[None]:
        """A context that raises ``DataError`` with what to do if memory ends in it, or if the model
        can't be compiled."""
        memory = explained_memory(
            where, self.settings, self.world.world_size, in_float32=self.dtype is None
        )
        with explained_compilation(self.settings), memory:
            yield

    @property
    def ema_model(self) -> Classifier | None:
        """The model with averaged weights; None without ``--ema-decay``."""
        return self.train_step.ema.model if self.train_step.ema else None

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        return self.train_step.optimizer

    @property
    def dtype(self) -> torch.dtype | None:
        """Autocast type; None for float32."""
        return self.train_step.dtype

    @property
    def schedule(self) -> Schedule:
        """Learning-rate schedule up to the expected end."""
        recipe, samples = self.settings.recipe, self.data.samples
        end_position = self.time_budget.end_position
        if self.time_budget.is_timed:
            epochs = end_position / samples
            warmup = min(recipe.resolved_warmup_epochs, epochs / 10)
            recipe = replace(recipe, epochs=epochs, warmup_epochs=warmup)
        return build_schedule(recipe, samples=samples, end_position=end_position)

    @property
    def reached_target(self) -> bool:
        """Whether an evaluation has reached ``--target-top1``."""
        target = self.settings.run.target_top1
        return target is not None and self.progress.best.get("top1", 0.0) >= target

    @property
    def is_out_of_patience(self) -> bool:
        """Whether the last ``--patience`` evaluations were not better than one before them."""
        patience = self.settings.run.patience
        return patience is not None and self.progress.evaluations_without_gain >= patience

    @property
    def is_over(self) -> bool:
        """Whether the run has reached its end or its target, or is out of patience."""
        return self.time_budget.ended or self.reached_target or self.is_out_of_patience

    @property
    def epochs(self) -> float:
        """Length of the run in epochs: as --epochs asks for, or up to the expected deadline."""
        if self.time_budget.is_timed:
            return self.time_budget.end_position / self.data.samples
        return self.settings.recipe.epochs

    @property
    def epoch(self) -> float:
        """Passes over the training split so far, without what the last step adds to `epochs`."""
        return min(self.progress.position / self.data.samples, self.epochs)

    @property
    def resolved(self) -> dict[str, Any]:
        """What settings, data and machine determine, for config.json."""
        source = self.model_source
        own = {CONFIG_KEY: asdict(record_of(source))} if isinstance(source, OwnModel) else {}
        return {
            **own,
            "world_size": self.world.world_size,
            "device": self.world.device.type,
            "dtype": str(self.dtype or torch.float32),
            "accumulate_steps": self.train_step.micro_batch_count,
            **self.data.facts,
            "task": task_record(self.task),
            "weights_input": self.weights_input and asdict(self.weights_input),
            # As plain text: a checkpoint can hold no TorchVersion.
            "torch": str(torch.__version__),
            "launch": launch_id(),
        }
