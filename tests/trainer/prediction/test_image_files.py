"""``trainer.predict --src``: image files give the outputs that they give as shards."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from tests.helpers.competitions import TESTS, write_competition
from tests.helpers.data import make_shards
from tests.helpers.tiny_trainer import train_in
from trainer.predict import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kaggle/, shards/ with options that change the stored pixels, and run/."""
    folder = tmp_path_factory.mktemp("files")
    write_competition(folder / "kaggle", "classification")
    options = ("--encode", "jpeg", "--quality", "40", "--longest-side", "24")
    make_shards(folder / "kaggle", folder / "shards", *options)
    train_in(folder, "run", image_size=None)
    return folder


def logits(folder: Path, out: Path, *words: str) -> dict[str, NDArray[np.float32]]:
    arguments = [str(folder / "run"), "--format", "npz", "--out", str(out), *words]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    with np.load(out) as arrays:
        return dict(zip(arrays["ids"].tolist(), arrays["logits"], strict=True))


@pytest.mark.parametrize(
    ("src", "count"), [("kaggle/test", TESTS), ("kaggle/test/*.png", TESTS), ("kaggle/**/05*", 7)]
)
def test_a_folder_or_a_pattern_gives_the_logits_of_the_shards(
    src: str, count: int, folder: Path, tmp_path: Path
) -> None:
    expected = logits(folder, tmp_path / "shards.npz")
    found = logits(folder, tmp_path / "files.npz", "--src", str(folder / src))
    assert len(found) == count and found.keys() <= expected.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-6)


def test_files_of_the_same_name_are_told_apart(folder: Path, tmp_path: Path) -> None:
    files = sorted((folder / "kaggle" / "test").iterdir())[:2]
    for place, file in zip(("a", "b"), files, strict=True):
        (tmp_path / "photos" / place).mkdir(parents=True)
        shutil.copy(file, tmp_path / "photos" / place / "1.png")
    found = logits(folder, tmp_path / "out.npz", "--src", str(tmp_path / "photos"))
    assert found.keys() == {"a/1.png", "b/1.png"}
    alone = logits(folder, tmp_path / "a.npz", "--src", str(tmp_path / "photos" / "b"))
    np.testing.assert_allclose(alone["1"], found["b/1.png"], rtol=1e-5, atol=1e-6)


def test_files_that_are_no_images_are_named(folder: Path, tmp_path: Path) -> None:
    """They are left out, if others are images."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("no image")
    run, photos = str(folder / "run"), str(tmp_path / "photos")
    result = CliRunner().invoke(main, [run, "--src", photos, "--out", str(tmp_path / "x.csv")])
    assert result.exit_code == 1
    assert "a.jpg" in result.output and "can't store the images" in result.output
    shutil.copy(next((folder / "kaggle" / "test").iterdir()), tmp_path / "photos")
    result = CliRunner().invoke(main, [run, "--src", photos, "--out", str(tmp_path / "x.csv")])
    assert result.exit_code == 0
    assert "Left out 1 of the files: a.jpg" in result.output
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 2
