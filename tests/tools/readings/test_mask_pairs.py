"""Pairs of image and mask, and the colors of the classes."""

from pathlib import Path

import pytest

from pipeline.errors import DataError, MisuseError
from tests.helpers.downloads import collect, download

FOUR = {f"train/{n}.png": "" for n in (1, 2, 3, 4)}


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ({"a/images/1.png": "", "a/masks/1.tif": ""}, {}),
        ({"images/train/1.png": "", "masks/train/1.png": ""}, {}),
        ({"x/1.png": "", "x_labels/1_L.png": ""}, {}),
        ({"1.jpg": "", "1_segmentation.png": ""}, {}),
        ({"1.jpg": "", "1m.png": ""}, {"mask_template": "{stem}m.png"}),
        ({"a/b/1.jpg": "", "c/1.png": ""}, {"mask_template": "{folder}/../../c/{stem}.png"}),
    ],
)
def test_pairs_of_image_and_mask(
    tmp_path: Path, files: dict[str, str], options: dict[str, str]
) -> None:
    sources = collect(download(tmp_path, files), **options)
    image, mask = files
    assert sources.task == "segmentation" and list(sources.names) == [image]
    assert sources.masks is not None
    assert list(sources.masks.paths) == [mask]  # type: ignore[attr-defined]


def test_images_of_two_folders_for_one_mask_folder_are_an_error(tmp_path: Path) -> None:
    files = {f"{folder}/1.png": "" for folder in ("images", "imgs", "masks")}
    folder = download(tmp_path, files)
    with pytest.raises(MisuseError, match="--images images\n  --images imgs"):
        collect(folder)
    assert list(collect(folder, images="imgs").names) == ["imgs/1.png"]


def test_missing_masks_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--mask-template, or by a table with --mask-column"):
        collect(download(tmp_path, FOUR), task="segmentation")


def test_colors_of_masks(tmp_path: Path) -> None:
    files = {"images/1.png": "", "masks/1.png": "", "colors.csv": "name,r,g,b\na,0,0,0\nb,9,9,9\n"}
    sources = collect(download(tmp_path, files), mask_colors="colors.csv")
    assert sources.classes == ("a", "b") and sources.mask_colors is not None
    assert sources.mask_colors.colors == ((0, 0, 0), (9, 9, 9))
    download(tmp_path, {"colors.csv": "name,r,g,b\na,0,0,0\nb,9,9,999\n"})
    with pytest.raises(DataError, match=r"colors\.csv row 3: b, 9, 9, 999 is not name, r, g, b"):
        collect(tmp_path, mask_colors="colors.csv")
    rows = "".join(f"{n},{n},0,0\n" for n in range(256))
    download(tmp_path, {"colors.csv": "name,r,g,b\n" + rows})
    with pytest.raises(DataError, match=r"has 256 classes, and a mask can have 255"):
        collect(tmp_path, mask_colors="colors.csv")


def test_class_folders_and_masks_are_ambiguous(tmp_path: Path) -> None:
    files = {
        f"{c}/{n}{end}.png": "" for c in ("ill", "well") for n in "12" for end in ("", "_mask")
    }
    folder = download(tmp_path, files)
    question = r"--task segmentation: 4 images .*\n  --task classification: 4 images, 2 classes"
    with pytest.raises(MisuseError, match=question):
        collect(folder)
    assert len(collect(folder, task="segmentation")) == 4
