"""Numbered folders, a class called train, lists of parts, labels at the end of pixel rows, cells
with several labels, and tables beside masks."""

from hashlib import md5
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import MisuseError
from pipeline.storage.dataset import Dataset
from tests.helpers.downloads import collect, download
from tests.helpers.shard_runs import samples, shard
from tests.helpers.small_downloads import lines, pictures
from tools.config import ShardConfig
from tools.download.file_index import index_files
from tools.pixel_tables.pixel_table import PixelTable
from tools.readings.detect import detect


def test_numbered_folders_with_the_same_classes_are_groups_of_one_whole(tmp_path: Path) -> None:
    names = [f"plots/{p}/{k}/{p}_{k}_{n}.png" for p in (17, 230, 4) for k in "sd" for n in range(3)]
    sources = collect(download(tmp_path, pictures(*names)))
    assert len(sources) == 18 and sources.classes == ("d", "s")
    assert sources.groups is not None and len(np.unique(sources.groups)) == 3


def test_numbered_folders_with_the_same_file_names_are_a_question(tmp_path: Path) -> None:
    names = [f"{side}/{k}/{n}.png" for side in (64, 128) for k in ("oak", "fir") for n in range(4)]
    with pytest.raises(MisuseError, match="2 ways") as error:
        collect(download(tmp_path, pictures(*names)))
    assert "--labels 64: 8 images" in str(error.value)


@pytest.mark.parametrize(
    ("images", "classes"), [(5, ("boat", "plane", "train")), (20, ("boat", "plane"))]
)
def test_a_folder_called_train_is_a_class_if_it_is_like_the_others(
    images: int, classes: tuple[str, ...], tmp_path: Path
) -> None:
    names = [f"things/{k}/{n}.jpg" for k in ("boat", "plane") for n in range(6)]
    names += [f"things/train/{n}.jpg" for n in range(images)]
    assert collect(download(tmp_path, pictures(*names))).classes == classes


def test_tables_of_parts_say_the_splits_of_the_whole_table(tmp_path: Path) -> None:
    rows = [f"{'rw'[n % 2]}{n} {1 + n % 2}" for n in range(24)]
    files = pictures(*(f"pool/{row.split()[0]}.jpg" for row in rows))
    files["lists/all.txt"] = lines(*rows)
    files["lists/trainval.txt"] = lines(*rows[:16])
    files["lists/test.txt"] = lines(*rows[16:])
    sources = collect(download(tmp_path, files))
    assert sources.splits is not None
    assert np.bincount(sources.splits, minlength=3).tolist() == [16, 0, 8]


@pytest.mark.parametrize("place", [0, 25])
def test_the_label_of_pixel_rows_without_a_header_is_the_column_that_counts(
    place: int, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (40, 25))
    rows = [[*row[:place], n % 4, *row[place:]] for n, row in enumerate(pixels.tolist())]
    index = index_files(str(download(tmp_path, {"digits.csv": lines(*rows)})))
    (table,) = detect(index, ShardConfig(src=str(tmp_path), out="unused")).parts
    assert isinstance(table, PixelTable)
    assert f"labels in column '{place + 1}'" in table.describe()


@pytest.mark.parametrize(
    ("separator", "marks"), [(", ", ""), (";", ""), (" ", ""), ("|", ""), (", ", "'")]
)
def test_several_labels_in_a_cell(separator: str, marks: str, tmp_path: Path) -> None:
    sets = [("sun", "sea"), ("sea", "ice"), ("sun", "ice"), ("sun", "sea", "ice")]
    cells = [separator.join(f"{marks}{name}{marks}" for name in names) for names in sets]
    rows = [f'{n}.jpg,"{f"[{cell}]" if marks else cell}"' for n, cell in enumerate(cells * 6)]
    files = pictures(*(f"i/{n}.jpg" for n in range(24)))
    files["t.csv"] = lines("file,seen", *rows)
    sources = collect(download(tmp_path, files))
    assert sources.task == "multi-label" and sources.classes == ("ice", "sea", "sun")


def _png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def test_gray_masks_have_the_numbers_of_the_rows_of_a_table_of_colors(tmp_path: Path) -> None:
    files = pictures(*(f"images/{n}.jpg" for n in range(6)))
    for n in range(6):
        files[f"masks/{n}.png"] = _png(
            np.random.default_rng(n).integers(0, 3, (9, 8)).astype(np.uint8)
        )
    files["legend.csv"] = lines(
        "name, Red, Green, Blue", "mud,90,60,30", "sand,200,190,120", "sea,0,0,250"
    )
    sources = collect(download(tmp_path, files))
    assert sources.task == "segmentation" and sources.classes == ("mud", "sand", "sea")


def test_a_list_of_labels_without_a_header_beside_masks_is_a_question(tmp_path: Path) -> None:
    files = pictures(*(f"images/{n}.jpg" for n in range(12)))
    for n in range(12):
        files[f"masks/{n}.png"] = _png(np.where(np.eye(8, 9) > n % 2, 255, 0).astype(np.uint8))
    files["kinds.txt"] = lines(*(f"{n} {'hot' if n % 2 else 'cold'}" for n in range(12)))
    with pytest.raises(MisuseError, match="2 ways") as error:
        collect(download(tmp_path, files))
    assert "--task classification: 12 images" in str(error.value)


@pytest.mark.parametrize("options", [(), ("--pixel-range", "0", "15")])
def test_dark_pixels_of_a_table_are_said_and_scaled_if_asked(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    pixels = np.random.default_rng(3).integers(0, 16, (40, 25))
    pixels[0, :2] = 0, 15
    rows = [[n % 4, *row] for n, row in enumerate(pixels.tolist())]
    header = ["label", *(f"pixel{n}" for n in range(25))]
    download(tmp_path / "a", {"digits.csv": lines(header, *rows)})
    arguments = ("--encode", "png", "--val", "0", *options)
    result = shard(tmp_path / "a", tmp_path / "out", *arguments)
    said = "at most 15 of 255" if not options else "from 0 to 15 become 0 to 255"
    assert result.exit_code == 0 and said in " ".join(result.output.split())
    factor = 17 if options else 1
    stored = {md5((row * factor).astype(np.uint8).tobytes()).hexdigest() for row in pixels}
    assert {digest for _, digest in samples(Dataset(tmp_path / "out"))} == stored
