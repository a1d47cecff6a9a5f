"""A run as its config.json describes it, without its model; needs no torch."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import open_dataset
from pipeline.errors import DataError, MisuseError
from pipeline.field_types import require_types, settings_values
from pipeline.storage.dataset import Dataset
from pipeline.storage.folder_kinds import instead_of_run
from pipeline.storage.manifest_parsing import MAX_CLASSES
from pipeline.storage.plain_files import read_plain
from pipeline.storage.remote import is_remote
from pipeline.storage.stated_values import (
    Fields,
    InvalidValueError,
    any_object,
    list_of,
    parse_json,
    text,
)
from trainer.config import Settings
from trainer.files import BEST_NAME, CHECKPOINT_NAME
from trainer.log_config import TRACKERS
from trainer.model.sources.model_code import is_own_file
from trainer.model.sources.stored_file import CONFIG_KEY, ModelRecord
from trainer.run.run_dir import CONFIG_NAME


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """The settings of a run; the fingerprint and the task of its shards, and their classes or
    targets; what it says about a model of one's own, None for others; and, unchecked, what followed
    from settings, data and machine."""

    directory: Path
    settings: Settings
    fingerprint: str
    task_name: str
    labels: tuple[str, ...]
    model_file: ModelRecord | None
    resolved: Mapping[str, Any]

    def open_shards(self, shards: str | None) -> Dataset:
        """Open `shards`, by default those of the run, if they are in a folder and unchanged.

        Raises ``MisuseError`` if config.json has a URL, ``DataError`` for other shards there.
        """
        own = self.settings.pipeline.shards
        # A run may come from elsewhere: its options don't say where fetched shards are kept.
        pipeline = dataclasses.replace(self.settings.pipeline, cache_dir=None, cache_size=None)
        if shards is not None:
            return open_dataset(dataclasses.replace(pipeline, shards=shards))
        if is_remote(own):
            raise MisuseError(
                f"{self.directory} was trained on {own}. A URL in {CONFIG_NAME} is not opened by "
                f"itself, because a run may come from elsewhere: give --shards {own}."
            )
        dataset = open_dataset(pipeline)
        if self.fingerprint in dataset.manifest.earlier_fingerprints:
            raise DataError(
                f"{own} was appended to since {self.directory} was trained on it: give --shards "
                f"{own} to use all its samples."
            )
        if dataset.fingerprint != self.fingerprint:
            raise DataError(
                f"{own} holds other shards than {self.directory} was trained on: give --shards "
                f"with the directory of those to use."
            )
        return dataset

    def require_same_labels(self, dataset: Dataset) -> None:
        """Raise ``DataError`` unless the dataset has the task and the classes of the run."""
        manifest = dataset.manifest
        names = manifest.targets if manifest.task == "regression" else manifest.classes
        if (manifest.task, names) != (self.task_name, self.labels):
            raise DataError(
                f"{dataset.location} is stored for {manifest.task} with {len(names)} names, but "
                f"{self.directory} was trained for {self.task_name} with {len(self.labels)}, or "
                f"their names or order differ: give --shards with the same labels."
            )

    def fold_of(self, dataset: Dataset) -> str | None:
        """The run's --fold if `dataset` is what it was trained on, else None."""
        is_own = dataset.fingerprint == self.fingerprint
        return self.settings.pipeline.fold if is_own else None

    def checkpoint(self, name: str | None = None) -> Path:
        """The checkpoint `name`: a file, or a file's name in the run; by default that of the best
        evaluation, or the newest if there was no evaluation. Raises ``DataError`` without any."""
        if name is None:
            for path in (self.directory / BEST_NAME, self.directory / CHECKPOINT_NAME):
                if path.exists():
                    return path
            raise DataError(
                f"{self.directory} has no checkpoint yet: wait until the run has saved one (see "
                f"--checkpoint-every), or give another run."
            )
        path = Path(name)
        return self.directory / path if path.name == name else path


def read_run(directory: Path) -> StoredRun:
    """Read the config.json of a run.

    Raises ``DataError`` if there is no valid one, ``MisuseError`` for a run on synthetic batches.
    """
    with config_errors(directory):
        values = any_object(parse_json(read_plain(directory / CONFIG_NAME).decode()))
        resolved = any_object(values["resolved"])
        task = any_object(resolved["task"])
        settings = _settings(values)
        run = StoredRun(
            directory=directory,
            settings=settings,
            fingerprint=Fields(resolved).take("fingerprint", text),
            task_name=text(task["task"]),
            labels=list_of(text, 0, MAX_CLASSES)(task.get("classes") or task.get("targets") or []),
            model_file=_model_file(settings.recipe.model, resolved),
            resolved=resolved,
        )
    if run.settings.machine.synthetic:
        raise MisuseError(
            f"{directory} was trained on synthetic batches, which have no labels: give a "
            f"run that was trained on shards."
        )
    return run


@contextmanager
def config_errors(directory: Path) -> Iterator[None]:
    """Read the config.json of `directory` in this context; raises ``DataError`` if it is missing or
    a value of it is."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{directory} holds no run ({CONFIG_NAME}: {error.strerror}): "
            f"{instead_of_run(directory)}"
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise DataError(
            f"{directory / CONFIG_NAME} is not a config of this trainer ({_reason(error)}): resume "
            f"the run with python -m trainer --out {directory}, which writes a new one."
        ) from error


def _settings(values: dict[str, Any]) -> Settings:
    taken = {name: settings_values(value) for name, value in values.items()}
    # What the training logged to need not be installed here.
    settings = Settings.from_options(**taken | dict.fromkeys(TRACKERS, False))
    for part in settings.parts.values():
        require_types(part)
    return settings


def _model_file(model: str, resolved: dict[str, Any]) -> ModelRecord | None:
    if not is_own_file(model):
        return None
    fields = Fields(resolved[CONFIG_KEY])
    return ModelRecord(
        file=fields.take("file", text),
        function=fields.take("function", text),
        sha256=fields.take("sha256", text),
    )


def _reason(error: Exception) -> str:
    if isinstance(error, InvalidValueError | TypeError):
        return str(error)
    return "a value is missing or invalid"
