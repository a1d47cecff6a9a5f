"""``tools/shard --like``: images without labels, stored as those of finished shards."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.storage.dataset import Dataset
from tests.helpers.cli import invoke
from tests.helpers.data import make_shards
from tests.helpers.partly_labeled import write_partly_labeled
from tools.checking.cli import main as check
from tools.cli import main as shard


def write_images(folder: Path, count: int, *, smooth: bool, side_px: int = 80) -> Path:
    """PNG files: gradients, which JPEG stores well, or noise, which it doesn't."""
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (side_px, side_px, 3))
        if smooth:
            rows, columns = np.mgrid[:side_px, :side_px]
            pixels = np.stack([rows, columns, rows + columns], axis=2) + number
        cv2.imwrite(str(folder / f"{number}.png"), (pixels % 256).astype(np.uint8))
    return folder


def manifest_of(shards: Path) -> dict[str, Any]:
    text: dict[str, Any] = json.loads((shards / "dataset.json").read_text())
    return text


@pytest.mark.parametrize("task", ["classification", "multi-label", "regression", "segmentation"])
def test_the_new_shards_fit_a_model_of_the_others(task: str, tmp_path: Path) -> None:
    write_partly_labeled(tmp_path / "shards", task)
    images = write_images(tmp_path / "images", 5, smooth=True)
    make_shards(images, tmp_path / "new", "--like", str(tmp_path / "shards"))
    assert invoke(check, tmp_path / "new", "--decode").exit_code == 0
    old, new = manifest_of(tmp_path / "shards"), manifest_of(tmp_path / "new")
    same = ("task", "classes", "labels", "targets", "mean", "std")
    assert {name: old[name] for name in same} == {name: new[name] for name in same}
    index = Dataset(tmp_path / "new").split("test")
    assert [*new["splits"]] == ["test"]
    assert (len(index), index.split.labeled) == (5, 0)


def test_what_was_measured_for_the_others_is_used(tmp_path: Path) -> None:
    """Alone the smooth images would become JPEGs; noise is stored as PNG."""
    labeled = write_images(tmp_path / "noise" / "a", 6, smooth=False)
    write_images(tmp_path / "noise" / "b", 6, smooth=False)
    make_shards(labeled.parent, tmp_path / "shards")
    images = write_images(tmp_path / "images", 4, smooth=True)
    make_shards(images, tmp_path / "new", "--like", str(tmp_path / "shards"))
    assert manifest_of(tmp_path / "shards")["made_by"]["measured"]["photographs"] == "png"
    assert manifest_of(tmp_path / "new")["image_components"] == ["png"]
    # An option that is given overrides that of the shards.
    make_shards(images, tmp_path / "own", "--like", str(tmp_path / "shards"), "--encode", "jpeg")
    assert manifest_of(tmp_path / "own")["image_components"] == ["jpg"]


def test_wrong_use_is_explained(tmp_path: Path) -> None:
    write_partly_labeled(tmp_path / "shards")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no image")
    for src, like, words in (
        (tmp_path / "empty", tmp_path / "shards", "no images"),
        (tmp_path / "empty", tmp_path / "none", "holds no complete shards"),
    ):
        result = invoke(shard, "--src", src, "--out", tmp_path / "new", "--like", like)
        assert result.exit_code == 1
        assert words in result.output
    for words in (("--task", "regression"), ("--unlabeled", "drop"), ("--val", "0.2")):
        arguments = ("--src", tmp_path / "empty", "--out", tmp_path / "new", *words)
        result = invoke(shard, *arguments, "--like", tmp_path / "shards")
        assert result.exit_code == 2
        assert f"--like and {words[0]} exclude each other" in result.output
    assert not (tmp_path / "new").exists()
