"""The targets of a batch, by the task of the shards."""

import numpy as np
import torch

from pipeline.plan.plan import PlannedBatch
from pipeline.storage.dataset import SplitIndex
from pipeline.storage.manifest import VOID


def batch_targets(index: SplitIndex, planned: PlannedBatch) -> torch.Tensor:
    """Targets of B samples: int64 (B,) labels for classification, else float32 (B, targets); -1 or
    a row of NaN for a sample that has no label or does not count."""
    if index.task == "classification":
        labels = index.samples["label"][planned.samples]
        return torch.from_numpy(np.where(planned.counts, labels, -1).astype(np.int64))
    targets = index.targets[planned.samples]
    return torch.from_numpy(np.where(planned.counts[:, None], targets, np.float32(np.nan)))


def mask_targets(masks: torch.Tensor, planned: PlannedBatch) -> torch.Tensor:
    """Masks (B, H, W, 1) -> uint8 (B, H, W), all VOID for a sample that does not count."""
    masks = masks.squeeze(3)
    if planned.counts.all():
        return masks
    return masks.masked_fill(torch.from_numpy(~planned.counts)[:, None, None], VOID)
