"""Lightning and Accelerate get each sample once per epoch, and resume where they stopped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline import Dataset, PipelineConfig, train_loader, val_loader
from pipeline.loader import Epochs

pytestmark = pytest.mark.filterwarnings("ignore")  # the frameworks' own warnings

CPU = torch.device("cpu")
SAMPLES = 1617
GLOBAL_BATCH_SIZE = 128


def build_epochs(shards: Path, rank: int = 0, world_size: int = 1) -> Epochs:
    return train_loader(
        Dataset(shards),
        PipelineConfig(seed=3, threads=1),
        global_batch_size=GLOBAL_BATCH_SIZE,
        device=CPU,
        rank=rank,
        world_size=world_size,
    ).by_epoch()


@pytest.fixture(scope="module")
def stream(digits_shards: Path) -> list[np.ndarray]:
    """The batches of two epochs."""
    epochs = build_epochs(digits_shards)
    batches = [batch.samples for _ in range(2) for batch in epochs]
    epochs.close()
    assert len(batches) == 26
    return batches


def lightning_model() -> Any:
    lightning = pytest.importorskip("lightning")

    class Model(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = torch.nn.Linear(3 * 32 * 32, 10)
            self.seen: list[np.ndarray] = []
            self.validated = 0

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            self.seen.append(batch.samples)
            logits = self.network(batch.images.flatten(1) / 255)
            return torch.nn.functional.cross_entropy(logits, batch.labels)

        def validation_step(self, batch: Any, index: int) -> None:
            self.validated += len(batch.samples)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Model()


def fit(folder: Path, shards: Path, *, save_at: int = 100, resume: Path | None = None) -> Any:
    """Two epochs; the state at step `save_at` is saved in `folder`."""
    lightning = pytest.importorskip("lightning")
    model, saver = lightning_model(), lightning.pytorch.callbacks.ModelCheckpoint
    trainer = lightning.Trainer(
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        accelerator="cpu",
        max_epochs=2,
        callbacks=[saver(folder, filename="{step}", every_n_train_steps=save_at, save_top_k=-1)],
    )
    validation = val_loader(
        Dataset(shards), PipelineConfig(threads=1), batch_size=GLOBAL_BATCH_SIZE, device=CPU
    )
    trainer.fit(model, build_epochs(shards), validation, ckpt_path=resume)
    return model


def test_lightning_trains_on_whole_epochs(
    digits_shards: Path, tmp_path: Path, stream: list[np.ndarray]
) -> None:
    model = fit(tmp_path, digits_shards)
    assert all(map(np.array_equal, model.seen, stream)) and len(model.seen) == len(stream)
    assert model.validated == 2 * 180


@pytest.mark.parametrize("stop", [5, 20])
def test_lightning_resumes_within_an_epoch(
    digits_shards: Path, tmp_path: Path, stream: list[np.ndarray], stop: int
) -> None:
    fit(tmp_path, digits_shards, save_at=stop)
    resumed = fit(tmp_path / "again", digits_shards, resume=tmp_path / f"step={stop}.ckpt")
    assert len(resumed.seen) == len(stream) - stop
    assert all(map(np.array_equal, resumed.seen, stream[stop:]))


def test_accelerate_resumes_within_an_epoch(
    digits_shards: Path, tmp_path: Path, stream: list[np.ndarray]
) -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    first, second = (
        build_epochs(digits_shards, accelerator.process_index, accelerator.num_processes)
        for _ in range(2)
    )
    accelerator.register_for_checkpointing(first)
    seen = []
    for number, batch in enumerate(first):
        seen.append(batch.samples)
        if number == 7:
            break
    accelerator.save_state(str(tmp_path))
    first.close()
    other = accelerate.Accelerator(cpu=True)
    other.register_for_checkpointing(second)
    other.load_state(str(tmp_path))
    for epoch in range(2):
        second.set_epoch(epoch)
        seen += [batch.samples for batch in second]
    second.close()
    assert len(seen) == len(stream) and all(map(np.array_equal, seen, stream))
