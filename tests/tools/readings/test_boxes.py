"""Boxes of YOLO and Pascal VOC: found, counted, named, taken as sets of categories."""

from pathlib import Path

import pytest

from pipeline.errors import MisuseError
from tests.helpers.downloads import collect, download, labeled
from tests.helpers.small_downloads import Files, pictures
from tools.download.file_index import index_files
from tools.download.label_sets import as_table
from tools.readings.box_files import find_boxes, yaml_names


def yolo(folder: str = "labels") -> Files:
    """Three images, of which the last shows nothing."""
    files = pictures(*(f"set/images/train/{n}.jpg" for n in range(3)))
    for n, text in enumerate(("0 .5 .5 .1 .2\n1 .1 .1 .1 .1\n", "1 0.5 0.5 0.25 0.5", "")):
        files[f"set/{folder}/train/{n}.txt"] = text
    return files


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        ({"data.yaml": "nc: 2\nnames: ['no, entry', \"stop\"]\n"}, ("no, entry", "stop")),
        ({"data.yaml": "names:\n  0: a\n  1: b\nnc: 2\n"}, ("a", "b")),
        ({"set/classes.txt": "x\ny\n"}, ("x", "y")),
        ({}, ("0", "1")),
    ],
)
def test_yolo(tmp_path: Path, names: Files, classes: tuple[str, ...]) -> None:
    folder = download(tmp_path, {**yolo(), **names})
    with pytest.raises(MisuseError, match=r"YOLO boxes .*: 3 boxes of 2 categories .* 3 images"):
        collect(folder)
    sources = collect(folder, task="multi-label")
    assert sources.classes == classes and sources.targets is not None
    assert as_table(sources.targets).tolist() == [[1, 1], [0, 1], [0, 0]]


def test_texts_that_are_no_boxes_are_none(tmp_path: Path) -> None:
    files = yolo()
    files["set/labels/train/1.txt"] = "a red kite over hills"
    assert find_boxes(index_files(str(download(tmp_path, files)))) is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [a, 'b c', \"d\"]", {"0": "a", "1": "b c", "2": "d"}),
        ("names:\n- a\n- 'b'\nval: x", {"0": "a", "1": "b"}),
        ("nc: 3", {}),
    ],
)
def test_names_in_yaml(text: str, names: dict[str, str]) -> None:
    assert yaml_names(text) == names


def voc(*names: str) -> str:
    objects = "".join(f"<object><name>{name}</name></object>" for name in names)
    return f"<annotation><filename>x</filename>{objects}</annotation>"


def test_images_of_one_category_each_are_classes(tmp_path: Path) -> None:
    files = pictures("p/a.png", "p/b.png", "p/c.png")
    files |= {"x/a.xml": voc("cow", "cow"), "x/b.xml": voc("hen"), "x/c.xml": voc("cow")}
    assert labeled(collect(download(tmp_path, files))) == {
        "p/a.png": "cow",
        "p/b.png": "hen",
        "p/c.png": "cow",
    }


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = (
        '<!DOCTYPE a [<!ENTITY b "cow">]><annotation><object><name>&b;</name></object></annotation>'
    )
    files = {**pictures("a.png", "b.png"), "a.xml": bomb, "b.xml": bomb}
    assert find_boxes(index_files(str(download(tmp_path, files)))) is None


def test_class_folders_count_more_than_boxes(tmp_path: Path) -> None:
    files = pictures("all/cow/a.png", "all/hen/b.png")
    files |= {"x/a.xml": voc("cow", "hen"), "x/b.xml": voc("hen")}
    assert collect(download(tmp_path, files)).classes == ("cow", "hen")


def test_a_box_of_an_image_that_is_missing_is_rejected(tmp_path: Path) -> None:
    files = pictures("a.png", "b.png")
    files |= {f"{n}.xml": voc("cow") for n in "abc"}
    sources = collect(download(tmp_path, files))
    assert sources.rejected == (("c.xml", "names the image 'c', which does not exist"),)
