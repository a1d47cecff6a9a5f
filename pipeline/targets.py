"""What a batch's images are to be taken for, by the task that the shards are stored for."""

import numpy as np
import torch

from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.plan.plan import PlannedBatch
from pipeline.storage.dataset import SplitIndex
from pipeline.storage.manifest import VOID


def batch_targets(index: SplitIndex, planned: PlannedBatch) -> torch.Tensor:
    """Of the B samples of a batch: int64 (B,) labels for classification, else float32 (B, targets).
    Where no sample counts stands -1 or a row of NaN."""
    if index.task == "classification":
        labels = index.samples["label"][planned.samples]
        return torch.from_numpy(np.where(planned.counts, labels, -1).astype(np.int64))
    targets = index.targets[planned.samples]
    return torch.from_numpy(np.where(planned.counts[:, None], targets, np.float32(np.nan)))


def mask_targets(masks: torch.Tensor, planned: PlannedBatch) -> torch.Tensor:
    """uint8 (B, H, W) of masks (B, H, W, 1): all VOID where no sample counts."""
    masks = masks.squeeze(3)
    if planned.counts.all():
        return masks
    return masks.masked_fill(torch.from_numpy(~planned.counts)[:, None, None], VOID)


def check_fit(config: PipelineConfig, task: str) -> None:
    """Raise ``MisuseError`` where `config` asks for what `task` hasn't."""
    if task != "classification" and (config.mixup_alpha or config.cutmix_alpha):
        raise MisuseError(
            f"--mixup-alpha and --cutmix-alpha mix the classes of two images, these shards are "
            f"stored for {task}: leave them out."
        )
    if task == "segmentation" and config.cache != "none":
        raise MisuseError(
            f"--cache {config.cache} keeps images without their masks, these shards are stored for "
            f"segmentation: leave it out."
        )
