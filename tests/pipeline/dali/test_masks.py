"""Masks have the crop, flip and geometric operations of their images, and the same bits at any
world size; bad ones are reported and replaced."""

import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.batch import Batch
from pipeline.build import train_loader, val_loader
from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.loader import Loader
from pipeline.plan.auto_augment import Operation
from pipeline.plan.plan import draw_train_parameters
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import VOID
from tests.helpers.damage import png, replace_mask
from tests.helpers.data import make_shards
from tests.helpers.loaders import CPU, assert_ranks_share_batches, collect

SIDE_PX = 120
GLOBAL_BATCH_SIZE = 12


@pytest.fixture(scope="module")
def coordinates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with blue 200, green y and red x in px, and masks whose values are x; read-only."""
    folder = tmp_path_factory.mktemp("coordinates")
    for name in ("images", "masks"):
        (folder / "kaggle" / name).mkdir(parents=True)
    for number in range(40):
        y, x = np.mgrid[: 70 + number, : SIDE_PX - number].astype(np.uint8)
        image = np.stack([np.full_like(x, 200), y, x], axis=2)
        cv2.imwrite(str(folder / "kaggle" / "images" / f"{number}.png"), image)
        cv2.imwrite(str(folder / "kaggle" / "masks" / f"{number}.png"), x)
    rows = [f"x{x},{x},{x},{x}\n" for x in range(SIDE_PX)]
    (folder / "kaggle" / "class_dict.csv").write_text("name,r,g,b\n" + "".join(rows))
    return make_shards(folder / "kaggle", folder / "shards", "--encode", "keep")


def mask_loader(shards: Path, *, split: str = "train", **settings: Any) -> Loader:
    ranks = {name: settings.pop(name, n) for name, n in (("rank", 0), ("world_size", 1))}
    position = settings.pop("position", 0)
    config = PipelineConfig(seed=5, threads=1, image_size=64, **settings)
    dataset = Dataset(shards)
    if split == "val":
        return val_loader(dataset, config, batch_size=4, device=CPU, **ranks)
    return train_loader(
        dataset,
        config,
        global_batch_size=GLOBAL_BATCH_SIZE,
        device=CPU,
        end_position=120,
        position=position,
        **ranks,
    )


def assert_masks_fit(batch: Batch, *, within_px: float, outside: bool = False) -> None:
    """The values of masks are the x that the red of their images is."""
    assert batch.targets.dtype == torch.uint8
    assert batch.targets.shape == (len(batch.samples), *batch.images.shape[2:])
    red, masks = batch.images[:, 0].int(), batch.targets.int()
    inside = masks != VOID
    assert outside or bool(inside.all())
    assert int((red - masks)[inside].abs().max()) <= within_px
    assert int(batch.images.amax(1)[~inside].sum()) == 0


def test_masks_follow_crop_flip_and_resize(coordinates: Path) -> None:
    index, flips = Dataset(coordinates).split("train"), []
    for batch in collect(mask_loader(coordinates, erase_probability=0, crop_area=(0.2, 1))):
        # A pixel of the result is up to 1.7 px of the image wide.
        assert_masks_fit(batch, within_px=1)
        left_to_right = batch.targets[:, 32, -1].int() > batch.targets[:, 32, 0].int()
        flips += left_to_right.tolist()
    assert 20 < sum(flips) < 100 and len(flips) == 120
    assert index.masks.dtype.names == ("offset", "size", "crc32")


def test_masks_follow_the_resize_and_central_crop_of_validation(coordinates: Path) -> None:
    batches = collect(mask_loader(coordinates, split="val", val_resize=72))
    assert sum(len(batch.samples) for batch in batches) == len(Dataset(coordinates).split("val"))
    for batch in batches:
        assert_masks_fit(batch, within_px=1)


def test_geometric_operations_move_masks_and_color_operations_do_not(coordinates: Path) -> None:
    settings: dict[str, Any] = {"auto_augment": "trivial", "crop_area": (1.0, 1.0)}
    index, visit = Dataset(coordinates).split("train"), 0
    config = PipelineConfig(seed=5, image_size=64, **settings)
    plain = collect(mask_loader(coordinates, crop_area=(1.0, 1.0)))
    operations = set()
    for moved, still in zip(collect(mask_loader(coordinates, **settings)), plain, strict=True):
        visits = (visit + np.arange(GLOBAL_BATCH_SIZE)) // len(index)
        visit += GLOBAL_BATCH_SIZE
        parameters = draw_train_parameters(index, config, visits, moved.samples, 64)
        assert parameters.operation is not None
        geometric = parameters.operation[:, 0] <= Operation.ROTATE
        assert_masks_fit(_select(moved, geometric), within_px=1, outside=True)
        assert torch.equal(_select(moved, ~geometric).targets, _select(still, ~geometric).targets)
        operations |= set(parameters.operation[:, 0].tolist())
        assert bool((moved.targets == VOID).any())
    assert operations == set(map(int, Operation))


def _select(batch: Batch, which: NDArray[np.bool_]) -> Batch:
    selected = torch.from_numpy(which)
    return Batch(batch.images[selected], batch.targets[selected], batch.samples[which])


def test_colors_and_erasing_do_not_change_masks(coordinates: Path) -> None:
    colored = collect(
        mask_loader(coordinates, color_jitter=0.4, hue_jitter=30, erase_probability=1)
    )
    for batch, plain in zip(colored, collect(mask_loader(coordinates)), strict=True):
        assert torch.equal(batch.targets, plain.targets)
        assert not torch.equal(batch.images, plain.images)


@pytest.mark.parametrize(("world_size", "position"), [(2, 0), (3, 36), (1, 60)])
def test_the_same_bits_at_any_world_size_and_after_a_resume(
    coordinates: Path, world_size: int, position: int
) -> None:
    settings: dict[str, Any] = {"auto_augment": "rand", "progressive_resize": (32, 64)}
    whole = collect(mask_loader(coordinates, **settings))[position // GLOBAL_BATCH_SIZE :]
    ranks = [
        collect(
            mask_loader(
                coordinates, rank=rank, world_size=world_size, position=position, **settings
            )
        )
        for rank in range(world_size)
    ]
    assert_ranks_share_batches(ranks, whole)


def damage_masks(shards: Path, split: str) -> dict[int, str]:
    """Damage five masks in different ways: sample -> pattern of the reason."""
    rows = Dataset(shards).split(split).samples
    height, width = (int(rows[name][3]) for name in ("height", "width"))
    invalid = np.zeros((height, width), np.uint8)
    invalid[-1, -1] = SIDE_PX
    empty = np.zeros((int(rows["height"][4]), int(rows["width"][4])), np.uint8)
    for sample, data, stated in (
        (0, b"no mask", False),
        (1, png(np.zeros((9, 7), np.uint8)), True),
        (2, png(np.zeros((4, 4, 3), np.uint8)), True),
        (3, png(invalid), True),
        (4, png(empty)[:-20], True),
    ):
        replace_mask(shards, split, sample, data, stated=stated)
    return {
        0: r"of its mask: its bytes have changed since they were written \(crc32\)",
        1: r"its mask has 7x9 px, the image \d+x\d+",
        2: "its mask is no 8-bit gray PNG",
        3: f"its mask has the value {SIDE_PX}, but there are {SIDE_PX} classes",
        4: "DALI can't decode its mask: ",
    }


def test_bad_masks_are_reported_and_replaced_equally_at_any_world_size(
    coordinates: Path, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(coordinates, tmp_path / "shards"))
    reasons = damage_masks(copied, "train")
    index = Dataset(copied).split("train")
    loader = mask_loader(copied, max_bad=0.5)
    whole, sound = collect(loader), collect(mask_loader(coordinates))
    for batch, before in zip(whole, sound, strict=True):
        good = ~np.isin(before.samples, list(reasons))
        assert np.array_equal(batch.samples[good], before.samples[good])
        assert torch.equal(_select(batch, good).targets, _select(before, good).targets)
        assert not np.isin(batch.samples, list(reasons)).any()
        assert_masks_fit(batch, within_px=1)
    reported = dict(loader.bad_samples())
    assert list(reported) == [index.describe(sample) for sample in reasons]
    for sample, reason in reasons.items():
        assert re.match(reason, reported[index.describe(sample)])
    ranks = [
        collect(mask_loader(copied, max_bad=0.5, rank=rank, world_size=2)) for rank in range(2)
    ]
    assert_ranks_share_batches(ranks, whole)


def test_a_bad_mask_of_validation_is_void(coordinates: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(coordinates, tmp_path / "shards"))
    replace_mask(copied, "val", 1, b"no mask", stated=False)
    targets = torch.cat([b.targets for b in collect(mask_loader(copied, split="val", max_bad=1))])
    assert (targets == VOID).all(dim=2).all(dim=1).nonzero().flatten().tolist() == [1]


@pytest.mark.parametrize(
    ("setting", "flag"),
    [
        ({"cutmix_alpha": 0.2}, "--mixup-alpha and --cutmix-alpha"),
        ({"sample_weights": "inverse-frequency"}, "--sample-weights"),
        ({"cache": "auto"}, "--cache auto"),
    ],
)
def test_options_that_do_not_support_masks_are_rejected(
    coordinates: Path, setting: dict[str, Any], flag: str
) -> None:
    with pytest.raises(MisuseError, match=f"{flag}.*stored for segmentation"):
        next(iter(mask_loader(coordinates, **setting)))
