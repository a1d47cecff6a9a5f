"""The same loader and trainer on an NVIDIA GPU."""

import json
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.batch import Batch
from pipeline.build import train_loader, val_loader
from pipeline.config import PipelineConfig
from pipeline.mixup import Mixing
from pipeline.storage.dataset import Dataset
from tests.helpers.damage import damage, random_samples
from tests.helpers.runs import train

pytestmark = pytest.mark.gpu

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


EVERYTHING: dict[str, Any] = {
    "color_jitter": 0.3,
    "hue_jitter": 20.0,
    "auto_augment": "rand",
    "erase_probability": 0.5,
}


def training_batches(
    shards: Path, device: torch.device, count: int, *, position: int = 0, **settings: Any
) -> list[Batch]:
    config = PipelineConfig(threads=2, **({"color_jitter": 0.3} | settings))
    loader = train_loader(
        Dataset(shards), config, global_batch_size=32, device=device, position=position
    )
    with loader:
        return list(islice(loader, count))


def test_batches_are_those_of_the_cpu(photographs: Path) -> None:
    batches = zip(
        training_batches(photographs, CPU, 4), training_batches(photographs, GPU, 4), strict=True
    )
    for expected, batch in batches:
        assert batch.images.device == batch.labels.device == GPU
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.samples.tolist() == expected.samples.tolist()
        assert batch.labels.tolist() == expected.labels.tolist()
        difference = (batch.images.cpu().int() - expected.images.int()).abs().float()
        # nvJPEG's inverse DCT and chroma differ from libjpeg-turbo's by a level or two.
        assert difference.mean() <= 2


def test_operations_give_the_pixels_of_the_cpu(photographs: Path) -> None:
    expected = training_batches(photographs, CPU, 4, **EVERYTHING)
    batches = training_batches(photographs, GPU, 4, **EVERYTHING)
    for batch, one in zip(batches, expected, strict=True):
        difference = (batch.images.cpu().int() - one.images.int()).abs().float()
        # Equalize and contrast spread a level or two of the decoder over more.
        assert difference.mean() <= 4


def test_mixing_gives_the_pixels_of_the_cpu(digits_shards: Path) -> None:
    (batch,) = training_batches(digits_shards, CPU, 1)
    mix = Mixing(seed=0, classes=10, mixup_alpha=0.4, cutmix_alpha=1.0)
    images, targets = mix(batch.images, batch.labels, 0)
    on_gpu, their_targets = mix(batch.images.to(GPU), batch.labels.to(GPU), 0)
    assert on_gpu.device == their_targets.device == GPU
    assert (on_gpu.cpu().int() - images.int()).abs().max() <= 1
    assert torch.allclose(their_targets.cpu(), targets)


def validation_images(shards: Path, device: torch.device) -> torch.Tensor:
    config = PipelineConfig(threads=2)
    loader = val_loader(Dataset(shards), config, batch_size=64, device=device, split="train")
    with loader:
        return next(iter(loader)).images.cpu().int()


def test_validation_pixels_are_those_of_the_cpu(photographs: Path) -> None:
    difference = validation_images(photographs, GPU) - validation_images(photographs, CPU)
    assert difference.abs().float().mean() <= 2


def test_batches_stay_as_they_are(digits_shards: Path) -> None:
    batches = training_batches(digits_shards, GPU, 8)
    again = training_batches(digits_shards, GPU, 8)
    for batch, same in zip(batches, again, strict=True):
        assert torch.equal(batch.images, same.images)


def test_copies_and_views_have_the_same_pixels(photographs: Path) -> None:
    copies = training_batches(photographs, GPU, 20)
    views = training_batches(photographs, GPU, 20, gpu_batches="views")
    for batch, same in zip(copies, views, strict=True):
        assert torch.equal(batch.images, same.images)


def test_a_resume_goes_on_with_the_same_pixels(digits_shards: Path) -> None:
    batches = training_batches(digits_shards, GPU, 6)
    resumed = training_batches(digits_shards, GPU, 2, position=4 * 32)
    for batch, same in zip(batches[4:], resumed, strict=True):
        assert torch.equal(batch.images, same.images)


def test_damaged_samples_are_replaced_by_the_same(digits_shards: Path, tmp_path: Path) -> None:
    shards = Path(shutil.copytree(digits_shards, tmp_path / "shards"))
    bad = random_samples(shards, "train", 0.02)
    damage(shards, "train", bad, "zeros")
    expected = training_batches(shards, CPU, 40, max_bad=0.1)
    for batch, one in zip(training_batches(shards, GPU, 40, max_bad=0.1), expected, strict=True):
        assert batch.samples.tolist() == one.samples.tolist()
        assert not set(batch.samples.tolist()) & set(bad)


def test_memory_does_not_grow(photographs: Path) -> None:
    loader = train_loader(
        Dataset(photographs), PipelineConfig(threads=2), global_batch_size=32, device=GPU
    )
    with loader:
        batches = iter(loader)
        free = []
        for count in (200, 1800):
            for _ in islice(batches, count):
                pass
            torch.cuda.synchronize()
            free.append(torch.cuda.mem_get_info(GPU)[0])
    # DALI's buffers grow to the largest images of an epoch (600 images); a leak of each batch's
    # output alone would be 9 GiB.
    assert free[0] - free[1] < 2**29


def test_the_trainer_runs(digits_shards: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trainer", "--shards", str(digits_shards), "--device", "cuda"]
    command += ["--epochs", "2", "--global-batch-size", "64", "--out", str(tmp_path / "run")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    losses = [line["loss"] for line in lines if line["kind"] == "train"]
    assert losses[-1] < losses[0]


def test_deterministic_runs_end_with_the_same_bits(digits_shards: Path, tmp_path: Path) -> None:
    settings = {"device": "cuda", "precision": "bf16", "deterministic": True}
    one, other = (train(digits_shards, tmp_path / name, **settings) for name in "ab")
    for name, tensor in one["network"].items():
        assert torch.equal(tensor, other["network"][name]), name
