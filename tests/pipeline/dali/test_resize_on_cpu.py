"""On CPUs torch resizes whole crops, Pillow regions that torch would take too much work for."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.utils.dlpack import from_dlpack
from torchvision.transforms import v2

from pipeline.dali.resize_on_cpu import MAX_RESIZED, _Resizer, resized_wholes
from pipeline.plan.augment import val_parameters

SIDES = st.integers(1, 3000)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def resized(
    crops: list[NDArray[np.uint8]],
    size: tuple[int, int],
    regions: list[tuple[float, float, float, float]],
    *,
    interpolation: str = "bilinear",
    mirror: bool = False,
    resizer: _Resizer | None = None,
) -> torch.Tensor:
    """What DALI gets from the operator: uint8 (B, height, width, 3)."""
    resizer = resizer or _Resizer(interpolation, threads=2)
    starts, ends = ([np.float32(region[side]) for region in regions] for side in np.s_[:2, 2:])
    inputs = (
        crops,
        [np.float32(size)] * len(crops),
        starts,
        ends,
        [np.array(int(mirror), np.int32)] * len(crops),
    )
    capsules = [[torch.from_numpy(each).__dlpack__() for each in one] for one in inputs]
    return torch.stack([from_dlpack(image) for image in resizer(*capsules)])


@given(height=SIDES, width=SIDES, resize_px=st.integers(1, 600), side=st.integers(1, 600))
def test_validation_is_a_cut_of_the_resized_image(
    height: int, width: int, resize_px: int, side: int
) -> None:
    side = min(side, resize_px)
    shape = np.array([[height, width]])
    drawn = val_parameters(shape[:, 0], shape[:, 1], resize_px=resize_px, image_size_px=side)
    size = np.array([[side, side]])
    whole, first, exact = resized_wholes(shape, size, drawn.roi_start, drawn.roi_end)
    expected = resize_px * shape // shape.min()
    assert whole.tolist() == expected.tolist()
    assert first.tolist() == np.round((expected - side) / 2).astype(int).tolist()
    assert exact.tolist() == [expected.prod() <= MAX_RESIZED * side**2]


@given(height=SIDES, width=SIDES, side=st.integers(1, 600), shift=st.floats(0.01, 0.49))
def test_a_region_between_pixels_is_not_cut(
    height: int, width: int, side: int, shift: float
) -> None:
    shape, size = np.array([[height, width]]), np.array([[side, side]])
    start = (shape / size * shift).astype(np.float32)
    _, _, exact = resized_wholes(shape, size, start, start + shape.astype(np.float32))
    assert not exact.any()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (7, 3), (64, 64), (301, 1000)])
def test_whole_crops_are_torchvisions(
    height: int, width: int, mirror: bool, interpolation: Any
) -> None:
    crop = noise(height, width)
    image = torch.from_numpy(crop).permute(2, 0, 1)
    expected = v2.functional.resize(image, [64, 48], v2.InterpolationMode(interpolation))
    (result,) = resized(
        [crop], (64, 48), [(0, 0, height, width)], interpolation=interpolation, mirror=mirror
    )
    expected = (expected.flip(-1) if mirror else expected).permute(1, 2, 0)
    assert (result.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_panorama_is_resized_as_torchvision_does(interpolation: Any) -> None:
    """Smooth, since torch and Pillow round at different places."""
    crop = np.asarray(
        v2.functional.resize(torch.from_numpy(noise(6, 90)).permute(2, 0, 1), [60, 900]).permute(
            1, 2, 0
        )
    )
    image = torch.from_numpy(crop).permute(2, 0, 1)
    mode = v2.InterpolationMode(interpolation)
    expected = v2.Compose([v2.Resize(36, mode), v2.CenterCrop(32)])(image).permute(1, 2, 0)
    drawn = val_parameters(np.array([60]), np.array([900]), resize_px=36, image_size_px=32)
    region = (*drawn.roi_start[0].tolist(), *drawn.roi_end[0].tolist())
    (result,) = resized([crop], (32, 32), [region], interpolation=interpolation)
    assert (result.int() - expected.int()).abs().max() <= 1


def test_many_images_of_a_run_are_in_order_and_a_later_run_is_smaller() -> None:
    resizer = _Resizer("bilinear", threads=3)
    for count in (20, 9, 1):
        crops = [np.full((5 + i, 4, 3), 10 * i, np.uint8) for i in range(count)]
        regions = [(0.0, 0.0, *map(float, crop.shape[:2])) for crop in crops]
        results = resized(crops, (8, 8), regions, resizer=resizer)
        assert results.shape == (count, 8, 8, 3)
        assert results.float().mean(dim=(1, 2, 3)).tolist() == [10 * i for i in range(count)]
