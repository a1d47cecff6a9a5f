"""tools/show prints figures of the dataset and draws its samples."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.storage.dataset import Dataset
from tests.helpers.handmade import restated, write_shards
from tests.helpers.partly_labeled import TESTS, write_partly_labeled
from tools.showing import show as showing
from tools.showing.cli import main
from tools.showing.dataset_summary import DatasetSummary, command_line, group_reasons
from tools.showing.sample_choice import COLUMNS, choose_samples
from tools.showing.thumbnails import SIDE_PX, fit_square

ROOT = Path(__file__).parents[3]
REGRESSION = {"classes": (), "targets": ("beauty", "weight")}


def show(shards: Path, out: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(main, [str(shards), "--out", str(out), *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def shown(shards: Path, out: Path, *arguments: str) -> str:
    result = show(shards, out, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


def cells(output: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in output.splitlines()]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the printed text is tested: the picture stays empty."""
    monkeypatch.setattr(showing, "draw", lambda summary, sheet, tiles, path: path.touch())


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def record(figure: Figure, *arguments: object, **named: object) -> None:
        save(figure, *arguments, **named)  # type: ignore[arg-type]
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", record)
    return figures


def tiles_of(figure: Figure, png: Path) -> list[NDArray[np.uint8]]:
    """The pixels of each tile in the file, BGR, in the order of the sheet."""
    picture = cv2.imread(str(png))
    assert picture is not None
    boxes = [image.get_window_extent() for image in figure.axes[0].images]
    edges = [(len(picture) - box.y1, len(picture) - box.y0, box.x0, box.x1) for box in boxes]
    return [
        picture[top:bottom, left:right]
        for top, bottom, left, right in np.round(edges).astype(int).tolist()
    ]


def summarize(shards: Path) -> DatasetSummary:
    return DatasetSummary.from_dataset(Dataset(shards))


def test_printed_figures_of_digits(digits_shards: Path, tmp_path: Path) -> None:
    output = shown(digits_shards, tmp_path / "digits.png")
    rows = cells(output)
    assert ["train", "1,617", "1", "3.2"] in rows and ["height, px", "8", "8", "8"] in rows
    train, val = (Dataset(digits_shards).manifest.splits[name] for name in ("train", "val"))
    for name in range(10):
        counts = (train.class_counts[name], val.class_counts[name])
        assert [str(name), *map(str, counts), f"{sum(counts) / 1797:.2%}"] in rows
    assert "with its defaults" in output and "No source was rejected." in output
    picture = cv2.imread(str(tmp_path / "digits.png"))
    assert picture is not None and picture.shape[1] == 1860


def test_the_picture_holds_the_pixels_of_the_samples(
    digits_shards: Path, tmp_path: Path, drawn: list[Figure]
) -> None:
    """Each tile of the sheet is the sample that the choice names, every pixel a square."""
    shown(digits_shards, tmp_path / "digits.png", "--seed", "3")
    tiles = tiles_of(drawn[0], tmp_path / "digits.png")
    summary = summarize(digits_shards)
    sheet = choose_samples(summary, "train", seed=3)
    assert len(tiles) == len(sheet.rows)
    tar = np.frombuffer((digits_shards / "train-000000.tar").read_bytes(), np.uint8)
    for number in range(0, len(sheet.rows), 7):
        row = summary.splits["train"].samples[sheet.rows[number]]
        data = tar[row["offset"] : row["offset"] + row["size"]]
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        height, width = tiles[number].shape[:2]
        assert height == pytest.approx(width, abs=1) and width > 100
        # Without the outline of each square, whose place is rounded.
        for within in (0.2, 0.5, 0.8):
            places = np.ix_(
                *(((np.arange(8) + within) * n / 8).astype(int) for n in (height, width))
            )
            assert np.array_equal(tiles[number][places], image)
        assert row["label"] == number // COLUMNS


@pytest.mark.parametrize(
    ("task", "arguments"), [("multi-label", {}), ("regression", REGRESSION), ("segmentation", {})]
)
def test_other_tasks(task: str, arguments: dict[str, tuple[str, ...]], tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", task, **arguments)  # type: ignore[arg-type]
    rows = cells(shown(shards, tmp_path / "a.png"))
    assert ["train", "24", "2", "0.1"] in rows
    manifest = Dataset(shards).manifest
    for name, count in zip(manifest.classes, manifest.splits["train"].class_counts, strict=True):
        assert [name, str(count), f"{count / 24:.2%}"] in rows
    if task == "regression":
        assert ["beauty", "0", "1.929", "3.857"] in rows
    shown(shards, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("task", "arguments"),
    [("classification", {}), ("multi-label", {}), ("regression", REGRESSION), ("segmentation", {})],
)
def test_samples_without_labels_are_counted(
    task: str, arguments: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    shards = write_shards(
        tmp_path / "shards",
        task,
        split="test",
        unlabeled=range(6),
        **arguments,  # type: ignore[arg-type]
    )
    output = shown(shards, tmp_path / "a.png")
    assert "6 of 24 samples of test have no label." in output
    assert "can't be shown" not in output and "nan" not in output
    split = Dataset(shards).manifest.splits["test"]
    for name, count in zip(("cat", "dog"), split.class_counts[:2], strict=False):
        assert [name, str(count), f"{count / 18:.2%}"] in cells(output)
    chosen = choose_samples(summarize(shards), "test", seed=1).rows
    assert min(chosen[chosen >= 0]) >= 6


@pytest.mark.parametrize("task", ["classification", "multi-label", "segmentation"])
def test_a_split_without_labels_is_drawn(task: str, tmp_path: Path) -> None:
    write_partly_labeled(tmp_path / "shards", task, unlabeled=TESTS)
    output = shown(tmp_path / "shards", tmp_path / "a.png", "--split", "test")
    assert f"{TESTS} of {TESTS} samples of test have no label." in output
    assert len(choose_samples(summarize(tmp_path / "shards"), "test", seed=0).rows) == TESTS
    assert "can't be shown" not in output


def test_masks_are_drawn_over_images(tmp_path: Path, drawn: list[Figure]) -> None:
    shards = write_shards(tmp_path / "shards", "segmentation")
    shown(shards, tmp_path / "a.png")
    sheet = choose_samples(summarize(shards), "train", seed=0)
    keys = np.load(shards / "train.samples.npy")["key"][sheet.rows]
    blue = {1: [], 2: []}  # type: dict[int, list[float]]
    tiles = tiles_of(drawn[0], tmp_path / "a.png")
    for key, tile in zip(keys.tolist(), tiles, strict=True):
        height, width = (length * 7 // 16 for length in tile.shape[:2])
        middle = tile[height:-height, width:-width].mean(axis=(0, 1))
        blue[1 + key % 2].append(float(middle[0] - middle[2]))
    # Class 1 is blue, class 2 orange.
    assert np.mean(blue[1]) > 40 and np.mean(blue[2]) < -40


@pytest.mark.parametrize("count", [2, 10, 11, 30, 200])
def test_classes_are_shown_equally_often(count: int, tmp_path: Path) -> None:
    classes = [f"class {n}" for n in range(count)]
    shards = write_shards(tmp_path / "shards", classes=classes, samples=max(60, 2 * count))
    summary = summarize(shards)
    sheet = choose_samples(summary, "train", seed=0)
    rows = sheet.rows[sheet.rows >= 0]
    labels = Counter(summary.splits["train"].samples["label"][rows].tolist())
    available = summary.class_counts[0]
    most = max(labels.values())
    assert all(labels[n] in (most, available[n]) for n in labels)
    assert len(labels) == min(84, np.count_nonzero(available))
    assert len(set(rows.tolist())) == len(rows) and len(sheet.rows) <= 120
    assert not np.array_equal(sheet.rows, choose_samples(summary, "train", seed=1).rows)


def test_every_class_of_a_multi_label_set_is_shown(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", "multi-label", samples=60, classes=list("abcdefgh"))
    summary = summarize(shards)
    sheet = choose_samples(summary, "train", seed=0)
    targets = summary.splits["train"].targets
    assert targets is not None and (targets[sheet.rows] > 0).any(axis=0).all()
    assert all(
        set(caption.split(", ")) - {"(none)"} == {"abcdefgh"[n] for n in np.flatnonzero(row)}
        for caption, row in zip(sheet.captions, targets[sheet.rows], strict=True)
    )


def test_many_classes_are_capped(tmp_path: Path, undrawn: None) -> None:
    shards = write_shards(tmp_path / "shards", classes=[f"c{n:03d}" for n in range(30)], samples=90)
    output = shown(shards, tmp_path / "a.png")
    assert (
        "and 10 more: --all-classes" in output and len(re.findall(r"^ ?c\d{3}", output, re.M)) == 20
    )
    output = shown(shards, tmp_path / "a.png", "--all-classes")
    assert len(re.findall(r"^ ?c\d{3}", output, re.M)) == 30


def test_names_with_markup_and_rare_letters(tmp_path: Path) -> None:
    classes = ("[red]x[/red]", "$a^{", "\u4e00\u4e8c", "a\nb")
    shards = write_shards(tmp_path / "shards", classes=classes)
    output = shown(shards, tmp_path / "a.png")
    assert all(name in output for name in classes[:3])


@pytest.mark.parametrize("count", [4, 11, 30])
def test_long_class_names_are_whole_and_beside_the_pictures(
    count: int, tmp_path: Path, drawn: list[Figure]
) -> None:
    classes = [f"Pneumonia_bacterial_of_the_upper_lobe_{n:02d}" for n in range(count)]
    shards = write_shards(tmp_path / "shards", classes=classes, samples=2 * count)
    shown(shards, tmp_path / "a.png")
    sheet, *_, last = drawn[0].axes
    texts = [text for text in sheet.texts if text.get_text()]
    assert set(classes) <= {text.get_text().replace("\n", "") for text in texts}
    pictures = [image.get_window_extent() for image in sheet.images]
    boxes = [text.get_window_extent() for text in texts]
    assert not any(box.overlaps(picture) for box in boxes for picture in pictures)
    if count <= 12:
        labels = [label.get_text().replace("\n", "") for label in last.get_yticklabels()]
        assert labels == classes


def test_reasons_are_grouped(tmp_path: Path, undrawn: None) -> None:
    rejected = [
        *((f"a/{n}.jpg", f"{n}00 x 90,000 px is too large") for n in range(5)),
        ("b.csv row 3", "column 'pixel0' is 'x', not an integer from 0 to 255"),
        ("b.csv row 9", "column 'pixel7' is '300', not an integer from 0 to 255"),
        ("c.jpg", "the JPEG is cut off: 3 bytes are left"),
    ]
    shards = write_shards(tmp_path / "shards", rejected=rejected)
    groups = group_reasons(shards / "rejected.csv")
    assert [(group.count, group.text) for group in groups] == [
        (5, "... x ... px is too large"),
        (2, "column ... is ..., not an integer from ... to ..."),
        (1, "the JPEG is cut off: 3 bytes are left"),
    ]
    assert groups[0].examples == ("a/0.jpg", "a/1.jpg", "a/2.jpg")
    output = shown(shards, tmp_path / "a.png")
    assert "a/0.jpg, a/1.jpg, a/2.jpg and others" in " ".join(output.split()) and "c.jpg" in output


def test_command_line_of_changed_options() -> None:
    arguments = {
        "encode": "keep",
        "quality": 92,
        "label_column": ["a b", "c"],
        "header": False,
        "pixel_size": [28, 28],
        "val": None,
        "later": 3,
    }
    assert command_line(arguments) == (
        "--encode keep --label-column 'a b' --label-column c --no-header --pixel-size 28 28 "
        "--later 3"
    )


def test_damaged_samples_are_reported(tmp_path: Path, undrawn: None) -> None:
    shards = write_shards(tmp_path / "shards")
    tar = shards / "train-000001.tar"
    os.truncate(tar, tar.stat().st_size // 2)
    output = shown(shards, tmp_path / "a.png")
    assert re.search(r"\d samples can't be shown \(the first is \d{9} of train\)", output)
    assert f"tools/check {shards}" in output and (tmp_path / "a.png").exists()


def test_a_damaged_index_points_to_tools_check(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards")
    table = np.load(shards / "train.samples.npy")
    table["label"][3] = 7
    np.save(shards / "train.samples.npy", table)
    result = show(restated(shards), tmp_path / "a.png")
    assert result.exit_code == 1 and f"tools/check {shards}" in result.output
    assert "sample 000000004: its label is 7" in result.output
    (shards / "train.samples.npy").unlink()
    assert show(shards, tmp_path / "a.png").exit_code == 1


def test_an_unwritable_folder(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards")
    result = show(shards, Path("/proc/a.png"))
    assert result.exit_code == 1 and "--out /proc/a.png can't be written" in result.output


def test_the_executable_works_from_anywhere(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards")
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    command = [ROOT / "tools" / "show", "shards/"]
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert (tmp_path / "shards.png").exists()
    assert not list(tmp_path.glob(".*"))


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_thumbnail_fits_its_square(height: int, width: int) -> None:
    image = np.arange(height * width * 3, dtype=np.uint32).astype(np.uint8)
    image = image.reshape(height, width, 3)
    thumbnail = fit_square(image)
    if max(height, width) <= 64:
        assert thumbnail is image
    else:
        assert thumbnail.shape == (SIDE_PX, SIDE_PX, 3)


def test_photographs(photographs: Path, tmp_path: Path) -> None:
    output = shown(photographs, tmp_path / "a.png")
    assert "shards: classification, 600 samples of 600 classes" in " ".join(output.split())
    assert "and 580 more: --all-classes" in output and "--label-column class_id" in output
