"""A finished or running run as its directory describes it, for evaluation and prediction."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.config import PipelineConfig
from pipeline.errors import DataError, MisuseError
from pipeline.storage.dataset import Dataset
from trainer.checkpoints.checkpoint_file import CHECKPOINT_NAME, load_checkpoint
from trainer.checkpoints.retention import BEST_NAME
from trainer.config import Settings
from trainer.data import OPENED, TrainingData
from trainer.model.build import Classifier
from trainer.model.precision import autocast_dtype
from trainer.run.run_dir import CONFIG_NAME
from trainer.setup import model_for, run_identity
from trainer.tasks.tasks import Task, task_from_record, task_record


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A run as described by its config.json; `data` are the facts of its training split."""

    directory: Path
    settings: Settings
    data: TrainingData
    task: Task

    @property
    def pipeline(self) -> PipelineConfig:
        """Options of the run's validation, with its sizes."""
        return dataclasses.replace(
            self.settings.pipeline,
            image_size=self.data.image_size_px,
            val_resize=self.data.val_resize_px or self.settings.pipeline.val_resize,
            progressive_resize=None,
            threads=None,
        )

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
        values = json.loads(path.read_text(encoding="utf-8"))
        resolved = values["resolved"]
        names = {field.name for field in dataclasses.fields(TrainingData)} & {*resolved} - {*OPENED}
        run = TrainedRun(
            directory=directory,
            settings=Settings.from_options(**values),
            data=TrainingData(dataset=None, **{name: resolved[name] for name in names}),
            task=task_from_record(resolved["task"]),
        )
    except OSError as error:
        raise DataError(
            f"{directory} holds no run ({CONFIG_NAME}: {error.strerror}): give the directory of a "
            f"run, --out of the trainer."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a config of this trainer: resume the run with python -m trainer "
            f"--out {directory}, which writes a new one."
        ) from error
    if run.settings.machine.synthetic:
        raise MisuseError(f"{directory} was trained on synthetic batches, which have no labels.")
    return run
