"""A finished or running run as its directory describes it, for evaluation and prediction."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.config import PipelineConfig, open_dataset
from pipeline.errors import DataError, MisuseError
from pipeline.field_types import require_types, settings_values
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest_parsing import MAX_CLASSES, MAX_SAMPLES
from pipeline.storage.plain_files import read_plain
from pipeline.storage.remote import is_remote
from pipeline.storage.stated_values import (
    Fields,
    InvalidValueError,
    any_object,
    integer,
    list_of,
    number,
    optional,
    parse_json,
    text,
    three,
)
from trainer.checkpoints.checkpoint_file import CHECKPOINT_NAME, load_checkpoint
from trainer.checkpoints.retention import BEST_NAME
from trainer.config import Settings
from trainer.data import TrainingData
from trainer.log_config import TRACKERS
from trainer.model.build import Classifier
from trainer.model.precision import autocast_dtype
from trainer.run.run_dir import CONFIG_NAME
from trainer.setup import model_for, run_identity
from trainer.tasks.tasks import Task, task_from_record, task_record

# Images of a model have at most this side.
MAX_SIDE_PX = 2**14


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A run as described by its config.json; `data` are the facts of its training split."""

    directory: Path
    settings: Settings
    data: TrainingData
    task: Task

    @property
    def pipeline(self) -> PipelineConfig:
        """Options of the run's validation, with its sizes. A run may come from elsewhere, so its
        options don't say where fetched shards are kept."""
        return dataclasses.replace(
            self.settings.pipeline,
            image_size=self.data.image_size_px,
            val_resize=self.data.val_resize_px or self.settings.pipeline.val_resize,
            progressive_resize=None,
            threads=None,
            cache_dir=None,
            cache_size=None,
        )

    def open_shards(self, shards: str | None) -> Dataset:
        """Open `shards`, by default those of the run, if they are in a folder and unchanged.

        Raises ``MisuseError`` if config.json has a URL, ``DataError`` for other shards there.
        """
        own = self.settings.pipeline.shards
        if shards is not None:
            return open_dataset(dataclasses.replace(self.pipeline, shards=shards))
        if is_remote(own):
            raise MisuseError(
                f"{self.directory} was trained on {own}. A URL in {CONFIG_NAME} is not opened by "
                f"itself, because a run may come from elsewhere: give --shards {own}."
            )
        dataset = open_dataset(dataclasses.replace(self.pipeline, shards=own))
        if dataset.fingerprint != self.data.fingerprint:
            raise DataError(
                f"{own} holds other shards than {self.directory} was trained on: give --shards "
                f"with the directory of those to use."
            )
        return dataset

    def fold_of(self, dataset: Dataset) -> str | None:
        """The run's --fold if `dataset` is what it was trained on, else None."""
        is_own = dataset.fingerprint == self.data.fingerprint
        return self.settings.pipeline.fold if is_own else None

    def checkpoint(self, name: str | None = None) -> Path:
        """The checkpoint `name`: a file, or a file's name in the run; by default that of the best
        evaluation, or the newest if there was no evaluation."""
        if name is None:
            best = self.directory / BEST_NAME
            return best if best.exists() else self.directory / CHECKPOINT_NAME
        path = Path(name)
        return self.directory / path if path.name == name else path

    def load_model(self, path: Path) -> Classifier:
        """The model with the weights of checkpoint `path`, averaged ones if the run has them."""
        settings = dataclasses.replace(self.settings, pipeline=self.pipeline)
        checkpoint = load_checkpoint(path, run_identity(settings, self.data))
        model = model_for(settings, self.data, self.task)
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

    def require_same_labels(self, dataset: Dataset) -> None:
        """Raise ``DataError`` unless the dataset has the task and the classes of the run."""
        saved, manifest = task_record(self.task), dataset.manifest
        names = manifest.targets if manifest.task == "regression" else manifest.classes
        trained = tuple(saved.get("classes") or saved.get("targets") or ())
        if (manifest.task, names) != (saved["task"], trained):
            raise DataError(
                f"{dataset.location} is stored for {manifest.task} with {len(names)} names, but "
                f"{self.directory} was trained for {saved['task']} with {len(trained)}, or their "
                f"names or order differ: give --shards with the same labels."
            )


def open_run(directory: Path) -> TrainedRun:
    """Read the config.json of a run.

    Raises ``DataError`` if there is no valid one, ``MisuseError`` for a run on synthetic batches.
    """
    path = directory / CONFIG_NAME
    try:
        values = any_object(parse_json(read_plain(path).decode()))
        run = TrainedRun(
            directory=directory,
            settings=_settings(values),
            data=_data(values["resolved"]),
            task=task_from_record(values["resolved"]["task"]),
        )
        require_types(run.task)
    except OSError as error:
        raise DataError(
            f"{directory} holds no run ({CONFIG_NAME}: {error.strerror}): give the directory of a "
            f"run, --out of the trainer."
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise DataError(
            f"{path} is not a config of this trainer ({_reason(error)}): resume the run with "
            f"python -m trainer --out {directory}, which writes a new one."
        ) from error
    if run.settings.machine.synthetic:
        raise MisuseError(
            f"{directory} was trained on synthetic batches, which have no labels: give a "
            f"run that was trained on shards."
        )
    return run


def _settings(values: dict[str, Any]) -> Settings:
    taken = {name: settings_values(value) for name, value in values.items()}
    # What the training logged to need not be installed here.
    settings = Settings.from_options(**taken | dict.fromkeys(TRACKERS, False))
    for part in vars(settings).values():
        require_types(part)
    return settings


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


def _reason(error: Exception) -> str:
    if isinstance(error, InvalidValueError | TypeError):
        return str(error)
    return "a value is missing or invalid"
