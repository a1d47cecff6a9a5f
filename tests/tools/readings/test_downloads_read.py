"""Whole downloads that the rules were not written for: what is read, joined, asked or refused."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import DataError, MisuseError
from pipeline.storage.manifest import SPLITS
from tests.helpers.downloads import collect, download
from tests.helpers.layout_parts import image
from tests.helpers.small_downloads import Files, lines, pictures
from tools.download.label_sets import as_table
from tools.download.sources import Sources


def counts(sources: Sources) -> dict[str, int]:
    """Labeled sources of each split, and "unlabeled"."""
    splits = np.zeros(len(sources), np.int8) if sources.splits is None else sources.splits
    names = [
        SPLITS[split] if labeled else "unlabeled"
        for split, labeled in zip(splits.tolist(), sources.has_label, strict=True)
    ]
    return dict(Counter(names))


def test_tables_of_splits_in_other_column_orders_and_a_test_without_labels(tmp_path: Path) -> None:
    files = pictures(*(f"pool/{n}.jpg" for n in range(20)))
    files["train.csv"] = lines("pic,rock,mass", *((n, "ab"[n % 2], 5) for n in range(10)))
    files["dev.csv"] = lines("mass,pic,rock", *((5, n, "ab"[n % 2]) for n in range(10, 14)))
    files["holdout_test.csv"] = lines("pic,mass", *((n, 5) for n in range(14, 20)))
    sources = collect(download(tmp_path, files))
    assert counts(sources) == {"train": 10, "val": 4, "unlabeled": 6}
    assert sources.classes == ("a", "b")


def test_class_folders_for_train_and_a_table_for_validation(tmp_path: Path) -> None:
    files = pictures(*(f"training/{k}/{n}.png" for k in ("ash", "elm") for n in range(5)))
    files |= pictures(*(f"validation/v{n}.png" for n in range(4)))
    rows = [(f"v{n}.png", ("elm", "ash")[n % 2], n) for n in range(4)]
    files["validation/index.csv"] = lines("picture,tree,when", *rows)
    sources = collect(download(tmp_path, files))
    assert counts(sources) == {"train": 10, "val": 4} and sources.classes == ("ash", "elm")


def test_ids_of_a_third_table_join_paths_labels_and_splits(tmp_path: Path) -> None:
    names = [f"shots/{k}/{n}.jpg" for k in ("01.wren", "02.lark") for n in range(6)]
    files = pictures(*names)
    files["paths.txt"] = lines(*(f"{n} {name[6:]}" for n, name in enumerate(names, 100)))
    files["kinds.txt"] = lines(*(f"{n} {1 + (n > 105)}" for n in range(100, 112)))
    files["train_test_split.txt"] = lines(*(f"{n} {int(n % 3 > 0)}" for n in range(100, 112)))
    files["boxes.txt"] = lines(*(f"{n} 1.5 2.0 30.0 4.5" for n in range(100, 112)))
    sources = collect(download(tmp_path, files))
    assert counts(sources) == {"train": 8, "test": 4}
    assert sources.classes == ("01.wren", "02.lark")


def test_lists_of_paths_say_the_splits(tmp_path: Path) -> None:
    names = [f"all/{k}/{n}.jpg" for k in ("x", "y") for n in range(5)]
    files = pictures(*names)
    files["lists/train.txt"] = lines(*(name[4:-4] for name in names if "4" not in name))
    files["lists/test.txt"] = lines(*(name[4:-4] for name in names if "4" in name))
    assert counts(collect(download(tmp_path, files))) == {"train": 8, "test": 2}


def test_images_that_nothing_names_are_left_out_and_counted(tmp_path: Path) -> None:
    files = pictures(*(f"pool/{n}.jpg" for n in range(6)))
    files["t.csv"] = lines("id,kind", *((n, "ab"[n % 2]) for n in range(4)))
    sources = collect(download(tmp_path, files))
    assert counts(sources) == {"train": 4}
    assert sources.notes == ("Left out 2 images without a label (first: pool/4.jpg).",)


def test_a_table_whose_rows_are_classes_is_no_reading(tmp_path: Path) -> None:
    files = pictures(*(f"fit/{k}/{n}.png" for k in range(3) for n in range(5)))
    files |= pictures(*(f"icons/{k}.png" for k in range(3)))
    files["icons.csv"] = lines("file,kind,shape", *((f"icons/{k}.png", k, k % 2) for k in range(3)))
    assert counts(collect(download(tmp_path, files))) == {"train": 15}


@pytest.mark.parametrize("spelling", ["1.0 0.0 -1.0", "1 0 -1"])
def test_marks_without_a_meaning_are_a_question_that_options_answer(
    tmp_path: Path, spelling: str
) -> None:
    yes, no, unsure = spelling.split()
    marks = [(yes, no, ""), (no, unsure, yes), ("", yes, no), (unsure, no, yes)] * 6
    files = pictures(*(f"x/{n}.jpg" for n in range(24)))
    rows = [(f"x/{n}.jpg", "FM"[n % 2], *cells) for n, cells in enumerate(marks)]
    files["t.csv"] = lines("path,sex,Edema,Cyst,Clear", *rows)
    folder = download(tmp_path, files)
    with pytest.raises(MisuseError, match=r"-1 \(--uncertain 0 or 1\) in 6 rows .* blank"):
        collect(folder)
    sources = collect(folder, uncertain="1", blank="0")
    assert sources.task == "multi-label" and sources.classes == ("Edema", "Cyst", "Clear")
    assert sources.targets is not None
    assert as_table(sources.targets)[:4].tolist() == [[1, 0, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1]]


def test_minus_one_and_one_are_no_and_yes(tmp_path: Path) -> None:
    files = pictures(*(f"{n}.jpg" for n in range(8)))
    rows = [(f"{n}.jpg", 1 if n % 2 else -1, 1 if n < 4 else -1) for n in range(8)]
    files["t.csv"] = lines("file,Hat,Bald", *rows)
    sources = collect(download(tmp_path, files))
    assert sources.targets is not None and as_table(sources.targets)[:2].tolist() == [
        [0, 1],
        [1, 1],
    ]


def test_texts_of_their_own_are_no_classes(tmp_path: Path) -> None:
    files = pictures(*(f"{n}.jpg" for n in range(30)))
    rows = [(f"{n}.jpg", f"a cat sits on chair {n}") for n in range(30)]
    files["said.csv"] = lines("image,comment", *rows)
    with pytest.raises(DataError, match=r"said\.csv: column 'comment' has 30 different cells"):
        collect(download(tmp_path, files))


def test_a_question_lists_the_likeliest_first_with_counts_that_hold(tmp_path: Path) -> None:
    files = pictures(*(f"{n}.jpg" for n in range(12)))
    rows = [(f"{n}.jpg", "mf"[n % 2], "abc"[n % 3], "wxyz"[n % 4]) for n in range(12)]
    files["t.csv"] = lines("file,sex,species,site", *rows)
    folder = download(tmp_path, files)
    with pytest.raises(MisuseError) as error:
        collect(folder)
    options = error.value.message.splitlines()[1:]
    assert options[0] == "  --label-column species: 12 images, 3 classes ('a', 'b', 'c')"
    for line in options:
        name, images, classes = (line.split()[k].rstrip(":,") for k in (1, 2, 4))
        sources = collect(folder, label_column=(name,))
        assert (len(sources), len(sources.classes)) == (int(images), int(classes))


def test_run_lengths_with_a_class_in_each_row(tmp_path: Path) -> None:
    files = pictures(*(f"img/{n}.png" for n in range(6)))
    rows = [(f"{n}.png", 1 + k, f"{1 + 9 * k} 3") for n in range(6) for k in range(n % 3)]
    files["defects.csv"] = lines("ImageId,ClassId,EncodedPixels", *rows)
    sources = collect(download(tmp_path, files))
    assert sources.task == "segmentation" and sources.classes == ("background", "1", "2")
    assert len(sources) == 4


def test_a_mask_for_each_object(tmp_path: Path) -> None:
    files = pictures(*(f"scans/s{n}.png" for n in range(4)))
    for n in range(4):
        for k in range(1 + n % 2):
            mask = np.zeros((9, 8), np.uint8)
            mask[k * 3 : k * 3 + 2] = 255
            end = f"_{k}" if k else ""
            files[f"scans/s{n}_mask{end}.png"] = bytes(cv2.imencode(".png", mask)[1])
    sources = collect(download(tmp_path, files))
    assert sources.task == "segmentation" and len(sources) == 4
    assert [sources.masks.files.paths[n] for n in range(3)] == [  # type: ignore[union-attr]
        "scans/s0_mask.png",
        "scans/s1_mask.png",
        "scans/s1_mask_1.png",
    ]


COCO = (
    '{"images": [{"id": 4, "file_name": "a.jpg"}, {"id": 5, "file_name": "b.jpg"}], "annotations": '
    '[{"image_id": 4, "category_id": 1}, {"image_id": 4, "category_id": 2}, {"image_id": 5, '
    '"category_id": 2}], "categories": [{"id": 1, "name": "nut"}, {"id": 2, "name": "bolt"}]}'
)


def test_boxes_are_named_counted_and_taken_as_sets(tmp_path: Path) -> None:
    folder = download(tmp_path, {**pictures("i/a.jpg", "i/b.jpg"), "boxes.json": COCO})
    with pytest.raises(
        MisuseError, match=r"COCO boxes \(boxes\.json\): 3 boxes of 2 categories .* in 2 images"
    ):
        collect(folder)
    sources = collect(folder, task="multi-label")
    assert sources.classes == ("bolt", "nut") and sources.targets is not None
    assert as_table(sources.targets).tolist() == [[1, 1], [1, 0]]


def test_rows_of_boxes_are_a_set_or_an_error(tmp_path: Path) -> None:
    files = pictures(*(f"{n}.jpg" for n in range(4)))
    rows = [(f"{n // 3}.jpg", 1, 2, 3, 4, "abc"[n % 3]) for n in range(12)]
    files["t.csv"] = lines("file,xmin,ymin,xmax,ymax,class", *rows)
    folder = download(tmp_path, files)
    with pytest.raises(DataError, match="pass --task multi-label to learn the set of labels"):
        collect(folder)
    sources = collect(folder, task="multi-label")
    assert sources.targets is not None and as_table(sources.targets).tolist() == [[1, 1, 1]] * 4


@pytest.mark.parametrize("mode", ["numbers", "palette", "colors", "binary"])
def test_what_masks_hold_decides_their_classes(tmp_path: Path, mode: str) -> None:
    colors = np.array([[0, 0, 0], [0, 200, 0], [200, 0, 0]], np.uint8)
    files: Files = {}
    for n in range(6):
        files |= pictures(f"images/{n}.png")
        values = (np.arange(72).reshape(9, 8) // 8 + n) % 3
        pixels = {
            "numbers": values.astype(np.uint8),
            "binary": ((values > 0) * 255).astype(np.uint8),
        }.get(mode, colors[values])
        files[f"masks/{n}.png"] = bytes(cv2.imencode(".png", pixels)[1])
    sources = collect(download(tmp_path, files))
    assert sources.task == "segmentation" and len(sources) == 6
    assert len(sources.classes) == (2 if mode == "binary" else 3)


def test_masks_of_one_class_alone_are_an_error(tmp_path: Path) -> None:
    files = pictures(*(f"images/{n}.png" for n in range(4)))
    files |= {f"masks/{n}.png": image("m.png", 255) for n in range(4)}
    with pytest.raises(DataError, match="every mask would be one class"):
        collect(download(tmp_path, files))
