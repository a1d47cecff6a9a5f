"""Boxes of objects in images: COCO's JSON, YOLO's texts and Pascal VOC's XML."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from xml.etree import ElementTree

from pipeline.errors import DataError
from tools.download.file_index import FileIndex, folder_of
from tools.download.name_index import name_of, suffix_of

# A larger JSON is not read in full to look for boxes.
_MAX_JSON_BYTES = 2 * 2**30
_JSON_START_BYTES = 2**16
_COCO_KEYS = frozenset({"images", "annotations"})
# class x y width height, or a class and a polygon.
_YOLO_LINE = re.compile(r"\d+(\s+-?\d*\.?\d+(e-?\d+)?){4,}")
# Files that are looked at to tell a format.
_TRIED_FILES = 5
_CLASS_FILES = ("classes.txt", "obj.names", "names.txt", "_darknet.labels")


@dataclass(frozen=True)
class Boxes:
    """`objects`: number of an image -> categories of its objects, with repetition; `missing`: the
    images that the files name and that don't exist, with the file."""

    format: str
    files: tuple[str, ...]
    objects: dict[int, list[str]] = field(repr=False)
    missing: tuple[tuple[str, str], ...] = ()

    @property
    def categories(self) -> list[str]:
        """The different categories, sorted."""
        return sorted({name for names in self.objects.values() for name in names})

    @property
    def count(self) -> int:
        """The number of boxes."""
        return sum(map(len, self.objects.values()))


def find_boxes(index: FileIndex) -> Boxes | None:
    """The boxes of the download in the first format that is found; None without any."""
    return _find_coco(index) or _find_yolo(index) or _find_voc(index)


def _find_coco(index: FileIndex) -> Boxes | None:
    objects: dict[int, list[str]] = {}
    files, missing = [], []
    for name in index.tables:
        if suffix_of(name) == ".json" and (data := _read_coco(index, name)) is not None:
            files.append(name)
            for file, labels in _coco_images(name, data):
                numbers = _in_folder_of(index, name, index.find(file))
                if len(numbers) == 1:
                    objects.setdefault(numbers[0], []).extend(labels)
                else:
                    missing.append((name, file))
    return Boxes("COCO", tuple(files), objects, tuple(missing)) if objects else None


def _in_folder_of(index: FileIndex, name: str, numbers: list[int]) -> list[int]:
    """Of several images, the one beside or below the file, or in a folder that it is called after.

    COCO's "annotations/instances_val2017.json" is about the images in "val2017".
    """
    if len(numbers) < 2:
        return numbers
    stem, folder = PurePosixPath(name).stem, folder_of(name)
    for fits in (
        [n for n in numbers if folder_of(index.images[n]) == folder],
        [n for n in numbers if stem.endswith(name_of(folder_of(index.images[n])))],
    ):
        if len(fits) == 1:
            return fits
    return numbers


def _read_coco(index: FileIndex, name: str) -> dict[str, Any] | None:
    if index.size_bytes(name) > _MAX_JSON_BYTES:
        return None
    with index.open(name) as file:
        start = file.read(_JSON_START_BYTES)
        if not start.lstrip().startswith(b"{") or not any(
            f'"{key}"'.encode() in start for key in (*_COCO_KEYS, "categories", "info")
        ):
            return None
        try:
            data = json.loads(start + file.read())
        except (ValueError, RecursionError):
            return None
    is_coco = isinstance(data, dict) and all(
        isinstance(data.get(key), list) and data[key] and isinstance(data[key][0], dict)
        for key in _COCO_KEYS
    )
    has_boxes = is_coco and {"image_id", "category_id"} <= data["annotations"][0].keys()
    return data if has_boxes else None


def _coco_images(name: str, data: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """File name and categories of each image; raises ``DataError`` for a damaged file."""
    try:
        names = {one["id"]: str(one["name"]) for one in data.get("categories", [])}
        labels: dict[Any, list[str]] = {one["id"]: [] for one in data["images"]}
        for one in data["annotations"]:
            if one["image_id"] in labels:
                number = one["category_id"]
                labels[one["image_id"]].append(names.get(number, str(number)))
        files = {one["id"]: str(one["file_name"]) for one in data["images"]}
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{name} looks like COCO's JSON, but lacks {error}: download it again."
        ) from error
    for number, file in files.items():
        yield file, labels[number]


def _find_yolo(index: FileIndex) -> Boxes | None:
    """Texts called like the images, in their folder or in a folder "labels" beside it."""
    texts = {name for name in index.tables if suffix_of(name) == ".txt"}
    pairs = [
        (number, text)
        for number in (index.sources() if texts else ())
        for text in [_yolo_text(index.images[number], texts)]
        if text is not None
    ]
    lines = [
        line
        for _, text in pairs[:: max(1, len(pairs) // _TRIED_FILES)]
        for line in _lines(index, text)
    ]
    if len(pairs) < 2 or not lines or not all(_YOLO_LINE.fullmatch(line) for line in lines):
        return None
    names = _yolo_names(index)
    objects: dict[int, list[str]] = {}
    for number, text in pairs:
        labels = [line.split()[0] for line in _lines(index, text) if _YOLO_LINE.fullmatch(line)]
        objects[number] = [names.get(label, label) for label in labels]
    return Boxes("YOLO", tuple(text for _, text in pairs), objects)


def _yolo_text(image: str, texts: set[str]) -> str | None:
    folder, stem = folder_of(image), PurePosixPath(image).stem
    above = folder_of(folder)
    folders = [folder, f"{folder}/labels", f"{above}/labels" if above else "labels"]
    if "images" in folder.split("/"):
        parts = folder.split("/")
        place = len(parts) - 1 - parts[::-1].index("images")
        folders.append("/".join([*parts[:place], "labels", *parts[place + 1 :]]))
    paths = (f"{f}/{stem}.txt" if f else f"{stem}.txt" for f in folders)
    return next((path for path in paths if path in texts), None)


def _lines(index: FileIndex, name: str) -> list[str]:
    with index.open(name) as file:
        text = file.read().decode("utf-8", "replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _yolo_names(index: FileIndex) -> dict[str, str]:
    """Class number -> name, from data.yaml or a list of names."""
    for name in index.others:
        if suffix_of(name) in (".yaml", ".yml"):
            text = "\n".join(_lines(index, name))
            if names := yaml_names(text):
                return names
    for name in index.tables:
        if name_of(name) in _CLASS_FILES:
            return {str(n): line for n, line in enumerate(_lines(index, name))}
    return {}


def yaml_names(text: str) -> dict[str, str]:
    """The list or the table `names` of a data.yaml."""
    if match := re.search(r"^names\s*:\s*\[(.*?)\]", text, re.MULTILINE | re.DOTALL):
        items = re.findall(r"'([^']*)'|\"([^\"]*)\"|([^,\s][^,]*)", match[1])
        return {str(n): "".join(parts).strip() for n, parts in enumerate(items)}
    if match := re.search(r"^names\s*:\s*\n(.*)", text, re.MULTILINE | re.DOTALL):
        rows = re.findall(r"^(?:(\d+)\s*:|-)\s*['\"]?(.*?)['\"]?$", match[1], re.MULTILINE)
        return {number or str(n): name.strip() for n, (number, name) in enumerate(rows)}
    return {}


def _find_voc(index: FileIndex) -> Boxes | None:
    """XML files called like the images."""
    names = [name for name in index.others if suffix_of(name) == ".xml"]
    tried = names[:: max(1, len(names) // _TRIED_FILES)][:_TRIED_FILES]
    if len(names) < 2 or not any(_voc_labels(index, name) for name in tried):
        return None
    objects: dict[int, list[str]] = {}
    missing = []
    for name in names:
        labels = _voc_labels(index, name)
        numbers = _in_folder_of(index, name, index.find(PurePosixPath(name).stem))
        if labels is not None and len(numbers) == 1:
            objects.setdefault(numbers[0], []).extend(labels)
        elif labels is not None:
            missing.append((name, PurePosixPath(name).stem))
    return Boxes("Pascal VOC", tuple(names), objects, tuple(missing)) if objects else None


def _voc_labels(index: FileIndex, name: str) -> list[str] | None:
    """The names of the objects; None for another XML."""
    with index.open(name) as file:
        text = file.read()
    # Entities could expand without end.
    if b"<!ENTITY" in text:
        return None
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None
    if root.tag != "annotation":
        return None
    names = (one.findtext("name") for one in root.iter("object"))
    return [label.strip() for label in names if label and label.strip()]
