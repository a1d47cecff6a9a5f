"""Augmentation has torchvision's distribution and geometry, and is a pure function."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from torchvision.transforms import v2

from pipeline.config import PipelineConfig
from pipeline.plan.augment import (
    Parameters,
    train_parameter_names,
    train_parameters,
    val_parameters,
)
from pipeline.plan.auto_augment import Operation

SIDE_PX = 224
EVERYTHING: dict[str, Any] = {
    "color_jitter": 0.4,
    "hue_jitter": 30.0,
    "auto_augment": "trivial",
    "erase_probability": 0.5,
}

sides = st.lists(st.integers(1, 3000), min_size=1, max_size=20)


def draw(
    heights: list[int], widths: list[int], *, seed: int = 0, first: int = 0, **changes: Any
) -> Parameters:
    count = len(heights)
    return train_parameters(
        PipelineConfig(seed=seed, **(EVERYTHING | changes)),
        visits=np.zeros(count, np.int64),
        samples=np.arange(first, first + count),
        heights=np.array(heights),
        widths=np.array(widths),
        image_size_px=SIDE_PX,
    )


@given(heights=sides, widths=sides, seed=st.integers(0, 2**63 - 1))
def test_crops_are_within_their_images(heights: list[int], widths: list[int], seed: int) -> None:
    count = min(len(heights), len(widths))
    parameters = draw(heights[:count], widths[:count], seed=seed)
    size = np.stack([heights[:count], widths[:count]], axis=1)
    assert (parameters.start >= 0).all()
    assert (parameters.shape >= 1).all()
    assert (parameters.start + parameters.shape <= size).all()


def test_augmentation_does_not_depend_on_the_batch() -> None:
    together = draw([300] * 64, [400] * 64)
    apart = draw([300] * 16, [400] * 16, first=48)
    for field in fields(Parameters):
        assert np.array_equal(getattr(together, field.name)[48:], getattr(apart, field.name))


@pytest.mark.parametrize(
    ("off", "missing"),
    [
        ({"color_jitter": 0.0}, {"brightness", "contrast", "saturation"}),
        ({"hue_jitter": 0.0}, {"hue"}),
        ({"auto_augment": "none"}, {"operation", "matrix", "amount"}),
        ({"erase_probability": 0.0}, {"hole_start", "hole_shape"}),
    ],
)
def test_disabling_one_augmentation_does_not_change_others(
    off: dict[str, Any], missing: set[str]
) -> None:
    everything, others = draw([30] * 64, [40] * 64), draw([30] * 64, [40] * 64, **off)
    assert set(train_parameter_names(PipelineConfig(**(EVERYTHING | off)))).isdisjoint(missing)
    for field in fields(Parameters):
        if field.name in missing:
            assert getattr(others, field.name) is None
        else:
            assert np.array_equal(getattr(everything, field.name), getattr(others, field.name))


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (40, 400)])
def test_crops_are_distributed_as_random_resized_crop(height: int, width: int) -> None:
    count = 4000
    torch.manual_seed(0)
    image = torch.zeros(1, height, width)
    reference = v2.RandomResizedCrop(224)
    theirs = np.array([list(reference.make_params([image]).values()) for _ in range(count)])
    parameters = draw([height] * count, [width] * count)
    ours = np.concatenate([parameters.start, parameters.shape], axis=1)
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3


def test_flips_and_colors_are_within_their_ranges() -> None:
    parameters = draw([100] * 10_000, [100] * 10_000, flip_probability=0.25)
    assert 0.23 < parameters.mirror.mean() < 0.27
    for name in ("brightness", "contrast", "saturation"):
        factors = getattr(parameters, name)
        assert 0.6 <= factors.min() < 0.61 and 1.39 < factors.max() <= 1.4


def test_hues_are_within_their_range() -> None:
    hue = draw([100] * 10_000, [100] * 10_000).hue
    assert hue is not None
    assert -30 <= hue.min() < -29 and 29 < hue.max() <= 30 and abs(hue.mean()) < 1


def test_erase_boxes_are_distributed_as_random_erasing() -> None:
    count = 4000
    torch.manual_seed(0)
    image, reference = torch.zeros(3, SIDE_PX, SIDE_PX), v2.RandomErasing()
    drawn_by_torchvision = [reference.make_params([image]) for _ in range(count)]
    theirs = np.array([[params[side] for side in "ijhw"] for params in drawn_by_torchvision])
    parameters = draw([400] * count, [300] * count, erase_probability=1.0)
    assert parameters.hole_start is not None and parameters.hole_shape is not None
    assert (parameters.hole_start + parameters.hole_shape <= SIDE_PX).all()
    ours = np.concatenate([parameters.hole_start, parameters.hole_shape], axis=1)
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3


def test_erase_probability_is_the_fraction_of_erased_images() -> None:
    shape = draw([400] * 10_000, [300] * 10_000, erase_probability=0.25).hole_shape
    assert shape is not None
    assert 0.23 < (shape > 0).all(axis=1).mean() < 0.27
    assert 0.73 < (shape == 0).all(axis=1).mean() < 0.77


def test_trivial_augment_draws_operations_and_strengths_uniformly() -> None:
    parameters = draw([100] * 28_000, [100] * 28_000)
    assert parameters.operation is not None and parameters.amount is not None
    operation = parameters.operation[:, 0]
    assert parameters.operation.shape == (28_000, 1)
    assert np.ptp(np.bincount(operation, minlength=len(Operation))) < 300
    amount = parameters.amount[operation == Operation.BRIGHTNESS, 0]
    assert len(np.unique(amount)) == 2 * 31 - 1
    assert amount.min() == pytest.approx(0.01) and amount.max() == pytest.approx(1.99)


def test_rand_augment_uses_its_number_of_operations_and_strength() -> None:
    parameters = draw(
        [100] * 5000,
        [100] * 5000,
        auto_augment="rand",
        rand_augment_operations=3,
        rand_augment_magnitude=10,
    )
    assert parameters.operation is not None and parameters.amount is not None
    assert parameters.matrix is not None
    assert parameters.operation.shape == (5000, 3) and parameters.matrix.shape == (5000, 3, 2, 3)
    assert abs(np.corrcoef(parameters.operation.T) - np.eye(3)).max() < 0.06
    amount = parameters.amount[parameters.operation == Operation.CONTRAST]
    assert np.unique(amount) == pytest.approx([0.7, 1.3])
    shift = parameters.matrix[parameters.operation == Operation.TRANSLATE_X][:, 0, 2]
    assert set(np.unique(shift)) == {-33, 33}  # a third of 150/331 of 224 px, cut off


@given(heights=sides, widths=sides, crop=st.integers(1, 256))
def test_validation_regions_are_within_the_image(
    heights: list[int], widths: list[int], crop: int
) -> None:
    count = min(len(heights), len(widths))
    size = np.stack([heights[:count], widths[:count]], axis=1)
    parameters = val_parameters(
        heights=size[:, 0], widths=size[:, 1], resize_px=256, image_size_px=crop
    )
    assert (parameters.roi_start >= 0).all()
    assert (parameters.roi_end <= size * (1 + 1e-6)).all()
    assert (parameters.roi_end > parameters.roi_start).all()
