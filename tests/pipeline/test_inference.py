"""The module for deployment has the pixels of validation."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pipeline.build import val_loader
from pipeline.config import PipelineConfig
from pipeline.inference import ValidationTransform, inference_transform
from pipeline.sizes import Sizes
from pipeline.storage.dataset import Dataset
from pipeline.storage.reader import ShardReader
from pipeline.watchdog import StallWatchdog
from trainer.model.build import Classifier

CPU = torch.device("cpu")


def decoded(data: np.ndarray) -> torch.Tensor:
    image = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return torch.from_numpy(image).permute(2, 0, 1)


def assert_same_pixels_as_validation(shards: Path, split: str, config: PipelineConfig) -> None:
    dataset = Dataset(shards)
    transform = inference_transform(dataset.manifest, config)
    reader = ShardReader(dataset.split(split), verify=True, watchdog=StallWatchdog(300, rank=0))
    with val_loader(dataset, config, batch_size=64, device=CPU, split=split) as loader:
        batch = next(iter(loader))
    encoded, _ = reader.read(batch.samples)
    reader.close()
    for image, data in zip(batch.images, encoded, strict=True):
        difference = (transform.pixels(decoded(data)).int() - image.int()).abs()
        assert difference.max() <= 1
        assert difference.float().mean() <= 0.02


@pytest.mark.parametrize("sizes", [{}, {"image_size": 40, "val_resize": 51}])
def test_pixels_of_small_images(digits_shards: Path, sizes: dict[str, int]) -> None:
    assert_same_pixels_as_validation(digits_shards, "val", PipelineConfig(threads=1, **sizes))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_pixels_of_photographs(photographs: Path, interpolation: Any) -> None:
    config = PipelineConfig(threads=1, interpolation=interpolation)
    assert_same_pixels_as_validation(photographs, "train", config)


def test_a_model_with_other_weights_has_their_normalization(digits_shards: Path) -> None:
    manifest, config = Dataset(digits_shards).manifest, PipelineConfig()
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    white = torch.full((3, 8, 8), 255, dtype=torch.uint8)
    for stated, (center, spread) in (
        ({}, (manifest.mean, manifest.std)),
        ({"mean": mean, "std": std}, (mean, std)),
    ):
        colors = inference_transform(manifest, config, **stated)(white).amax((1, 2))
        expected = [(1 - c) / s for c, s in zip(center, spread, strict=True)]
        assert colors.tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("height", "width"), [(333, 500), (500, 333), (20, 700), (64, 64)])
def test_the_result_is_normalized_as_in_the_model(height: int, width: int) -> None:
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.1, 0.0)
    sizes = Sizes(image_size_px=64, resize_px=72)
    transform = ValidationTransform(sizes, mean=mean, std=std)
    image = torch.randint(256, (3, height, width), dtype=torch.uint8)
    normalized = transform(image)
    assert normalized.shape == (3, 64, 64) and normalized.dtype == torch.float32
    by_the_model = Classifier(torch.nn.Identity(), mean=mean, std=std)(transform.pixels(image))
    assert torch.allclose(normalized, by_the_model, atol=1e-3)
