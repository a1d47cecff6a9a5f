"""A finished or running run with its model, for evaluation and prediction."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from pipeline.field_types import require_types
from pipeline.storage.manifest_parsing import MAX_CLASSES, MAX_SAMPLES
from pipeline.storage.stated_values import Fields, integer, list_of, number, optional, text, three
from trainer.checkpoints.checkpoint_file import load_checkpoint
from trainer.checkpoints.progress import OtherRunError
from trainer.data import TrainingData
from trainer.model.build import Classifier
from trainer.model.precision import autocast_dtype
from trainer.model.sources.find import find_model
from trainer.model.sources.own_file import OwnModel
from trainer.model.sources.source import ModelSource
from trainer.model.sources.stored_file import NO_TRUST, Trust, trusted_code
from trainer.resolve import run_identity
from trainer.run_model import model_for, network_spec
from trainer.stored_run import StoredRun, config_errors, read_run
from trainer.tasks.tasks import Task, task_from_record

# Images of a model have at most this side.
MAX_SIDE_PX = 2**14


@dataclass(frozen=True, kw_only=True)
class TrainedRun(StoredRun):
    """A run as described by its config.json; `data` are the facts of its training split, `trust`
    says which code may be executed to load it."""

    data: TrainingData
    task: Task
    trust: Trust = NO_TRUST

    @property
    def pipeline(self) -> PipelineConfig:
        """Options of the run's validation, with its sizes, on whole splits. A run may come from
        elsewhere, so its options don't say where fetched shards are kept."""
        return dataclasses.replace(
            self.settings.pipeline,
            image_size=self.data.image_size_px,
            val_resize=self.data.val_resize_px or self.settings.pipeline.val_resize,
            progressive_resize=None,
            train_samples=None,
            threads=None,
            cache_dir=None,
            cache_size=None,
        )

    def model_source(self) -> ModelSource:
        """Where its model comes from. Raises ``MisuseError`` if it is code that is not trusted."""
        if self.model_file is None:
            return find_model(self.settings.recipe.model)
        return OwnModel(**vars(trusted_code(self.directory, self.model_file, self.trust)))

    def load_model(self, path: Path) -> Classifier:
        """The model with the weights of checkpoint `path`, averaged ones if the run has them."""
        settings = dataclasses.replace(self.settings, pipeline=self.pipeline)
        source, spec = self.model_source(), network_spec(settings, self.data, self.task)
        try:
            checkpoint = load_checkpoint(path, run_identity(self.settings, self.data, source))
        except OtherRunError as error:
            raise DataError(
                f"{path} is no checkpoint of {self.directory}: it was saved {error.difference}. "
                f"Leave the run out, which --checkpoint names as well, or give a checkpoint of it."
            ) from error
        model = model_for(settings, self.data, source, spec)
        checkpoint.copy_weights(model.network, averaged=True)
        return model

    @property
    def precision(self) -> str:
        """The run's --precision."""
        return self.settings.machine.precision

    def load_for_inference(
        self, path: Path, device: torch.device
    ) -> tuple[Classifier, torch.dtype | None]:
        """The model of checkpoint `path` on `device`, in evaluation mode, and its autocast type by
        --precision, None for float32. Before it is used, ``set_float32`` takes --precision."""
        model = self.load_model(path).to(device).eval()
        return model, autocast_dtype(self.precision, device, model)


def open_run(directory: Path, trust: Trust = NO_TRUST) -> TrainedRun:
    """Read the config.json of a run; raises as ``read_run`` does. No code of a model is executed
    here; `trust` says which may be when the model is loaded."""
    stored = read_run(directory)
    with config_errors(directory):
        run = TrainedRun(
            **vars(stored),
            data=_data(stored.resolved),
            task=task_from_record(stored.resolved["task"]),
            trust=trust,
        )
        require_types(run.task)
    return run


def _data(resolved: object) -> TrainingData:
    fields = Fields(resolved)
    channels = list_of(number(0, 1), 3, 3)
    side = integer(1, MAX_SIDE_PX)
    return TrainingData(
        dataset=None,
        samples=fields.take("samples", integer(1, MAX_SAMPLES)),
        classes=fields.take("classes", integer(0, MAX_CLASSES)),
        image_size_px=fields.take("image_size_px", side),
        val_resize_px=fields.take_if_there("val_resize_px", optional(side)),
        mean=three(fields.take("mean", channels)),
        std=three(fields.take("std", channels)),
        fingerprint=fields.take("fingerprint", text),
    )
