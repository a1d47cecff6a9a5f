"""Shards -> batches, for any training loop. Torch and DALI are imported on first use."""

# The commands import this package before they handle Ctrl-C: typing and importlib would delay that.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pipeline.batch import Batch as Batch
    from pipeline.build import train_loader as train_loader
    from pipeline.build import val_loader as val_loader
    from pipeline.config import PipelineConfig as PipelineConfig
    from pipeline.loader import Loader as Loader
    from pipeline.storage.dataset import Dataset as Dataset

_MODULES = {
    "Batch": "batch",
    "Dataset": "storage.dataset",
    "Loader": "loader",
    "PipelineConfig": "config",
    "train_loader": "build",
    "val_loader": "build",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> "Any":
    if name not in _MODULES:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"pipeline.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
