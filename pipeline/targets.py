"""What a batch's images are to be taken for, by the task that the shards are stored for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import PipelineConfig
from pipeline.dataset import SplitIndex
from pipeline.errors import MisuseError
from pipeline.plan import PlannedBatch

# What the loaders read.
LOADED_TASKS = ("classification", "multi-label", "regression")


def batch_targets(index: SplitIndex, planned: PlannedBatch) -> NDArray[Any]:
    """Of the B samples of a batch: int64 (B,) labels for classification, else float32 (B, targets).
    Where no sample counts stands -1 or a row of NaN."""
    if index.task == "classification":
        labels = index.samples["label"][planned.samples]
        return np.where(planned.counts, labels, -1).astype(np.int64)
    targets = index.targets[planned.samples]
    return np.where(planned.counts[:, None], targets, np.float32(np.nan))


def check_fit(config: PipelineConfig, task: str) -> None:
    """Raise ``MisuseError`` where `config` asks for what `task` hasn't."""
    if task != "classification" and (config.mixup_alpha or config.cutmix_alpha):
        raise MisuseError(
            f"--mixup-alpha and --cutmix-alpha mix the classes of two images, these shards are "
            f"stored for {task}: leave them out."
        )
