"""What a notebook shows of datasets, loaders and batches: numbers, no addresses and no pixels."""

from pathlib import Path

import torch

from pipeline import Dataset, PipelineConfig, train_loader, val_loader
from pipeline.synthetic import synthetic_loader
from tests.helpers.handmade import write_shards

CPU = torch.device("cpu")


def test_dataset(digits_shards: Path, tmp_path: Path) -> None:
    dataset = Dataset(digits_shards)
    assert repr(dataset) == (
        f"Dataset('{digits_shards}', classification, classes: 10, samples of train: 1,617, val: "
        f"180)"
    )
    index = dataset.split("train", "val")
    assert repr(index) == f"SplitIndex(train and val of '{digits_shards}', samples: 1,797)"
    part = index.part(index.rows()[5:9], "a few of val")
    assert repr(part) == f"SplitIndex(a few of val of '{digits_shards}', samples: 4)"
    boxes = write_shards(tmp_path / "boxes", "regression", classes=(), targets=("x", "y"))
    assert repr(Dataset(boxes)).endswith("', regression, targets: 2, samples of train: 24)")


def test_loaders(digits_shards: Path) -> None:
    dataset, config = Dataset(digits_shards), PipelineConfig(threads=1)
    endless = train_loader(dataset, config, global_batch_size=64, device=CPU, world_size=2)
    assert repr(endless) == (
        "Loader(split: train, samples: 1,617, batch size: 32 on cpu, position: 0, endless)"
    )
    ending = train_loader(
        dataset, config, global_batch_size=64, device=CPU, position=640, end_position=1000
    )
    assert repr(ending.by_epoch()) == (
        "Epochs(epoch: 0, batches: 26, of Loader(split: train, samples: 1,617, batch size: 64 on "
        "cpu, position: 640, batches left: 6))"
    )
    val = val_loader(dataset, config, batch_size=50, device=CPU)
    assert repr(val) == ("Loader(split: val, samples: 180, batch size: 50 on cpu, batches left: 4)")


def test_batch() -> None:
    loader = synthetic_loader(batch_size=6, image_size=40, classes=3, device=CPU)
    batch = next(iter(loader))
    assert repr(loader) == "Loader(samples: 1,281,167, position: 6, endless)"
    assert repr(batch) == (
        "Batch(images: uint8 (6, 3, 40, 40) on cpu, targets: int64 (6,) on cpu, samples: int64 "
        "(6,))"
    )
    shifted = batch.to("meta")
    assert "uint8 (6, 3, 40, 40) on meta" in repr(shifted)
