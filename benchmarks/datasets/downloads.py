"""Downloads of any size: real images, repeated as hard links."""

import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from tools.download.name_index import IMAGE_SUFFIXES

CLASSES = 2


def link_images(src: Path, folder: Path, count: int, classes: int = CLASSES) -> Path:
    """Class folders with `count` links to copies of the images in `src`; the labels are made up.

    A measured program can't change the originals. Raises ``DataError`` if `src` has no images.
    """
    images = image_files(src)
    originals = folder / "originals"
    originals.mkdir(parents=True)
    copies = [
        Path(shutil.copyfile(path, originals / f"{number}{path.suffix.lower()}"))
        for number, path in enumerate(images[:count])
    ]
    return _class_folders(copies, folder / "download", count, classes)


def make_large_photographs(src: Path, folder: Path, count: int, originals: int = 100) -> Path:
    """Class folders of `count` links to JPEGs of 1,000 x 750 px, each of four of the photographs in
    `src` side by side, so that they are as detailed as these."""
    pictures = islice(cycle(_photographs(src)), 4 * min(count, originals))
    tiles = [cv2.resize(picture, (500, 375), interpolation=cv2.INTER_AREA) for picture in pictures]
    copies = []
    (folder / "originals").mkdir(parents=True)
    for number in range(len(tiles) // 4):
        four = tiles[4 * number : 4 * number + 4]
        whole = np.vstack([np.hstack(four[:2]), np.hstack(four[2:])])
        copies.append(folder / "originals" / f"{number}.jpg")
        cv2.imwrite(str(copies[-1]), whole, (cv2.IMWRITE_JPEG_QUALITY, 92))
    return _class_folders(copies, folder / "download", count, CLASSES)


def make_png_photographs(src: Path, folder: Path, count: int, originals: int = 300) -> Path:
    """Class folders of `count` links to the photographs in `src` as PNGs, as Pillow writes them,
    deflated at the levels 1, 6 and 9 in turn."""
    from PIL import Image

    copies = []
    (folder / "originals").mkdir(parents=True)
    for number, picture in enumerate(islice(_photographs(src), min(count, originals))):
        copies.append(folder / "originals" / f"{number}.png")
        image = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        image.save(copies[-1], compress_level=(1, 6, 9)[number % 3])
    return _class_folders(copies, folder / "download", count, CLASSES)


def _photographs(src: Path) -> Iterator[NDArray[np.uint8]]:
    """The pixels of the images in `src`, BGR (h, w, 3)."""
    for path in image_files(src):
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if pixels is not None:
            yield np.asarray(pixels, np.uint8)


def image_files(src: Path) -> list[Path]:
    """Raises ``DataError`` if there are none."""
    images = [path for path in sorted(src.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise DataError(f"{src} has no images: give a folder of photographs.")
    return images


def make_small_pngs(folder: Path, count: int, side_px: int) -> Path:
    """Class folders of `count` links to scikit-learn's 1,797 digits as PNGs."""
    originals = folder / "originals"
    originals.mkdir(parents=True)
    copies = []
    for number, (picture, _) in enumerate(islice(_digits(side_px), count)):
        copies.append(originals / f"{number}.png")
        cv2.imwrite(str(copies[-1]), picture)
    return _class_folders(copies, folder / "download", count, CLASSES)


def make_pixel_csv(folder: Path, rows: int, side_px: int) -> Path:
    """A folder with ``train.csv``: `rows` digits, label and pixels, in the format of MNIST."""
    lines = [
        f"{label},{','.join(map(str, picture.ravel().tolist()))}\n".encode()
        for picture, label in islice(_digits(side_px), rows)
    ]
    folder.mkdir(parents=True)
    passes, rest = divmod(rows, len(lines))
    with (folder / "train.csv").open("wb") as file:
        file.write(b"label," + b",".join(b"pixel%d" % n for n in range(side_px**2)) + b"\n")
        for _ in range(passes):
            file.writelines(lines)
        file.writelines(lines[:rest])
    return folder


def _class_folders(originals: Sequence[Path], folder: Path, count: int, classes: int) -> Path:
    for number in range(classes):
        (folder / f"class{number}").mkdir(parents=True)
    for number in range(count):
        original = originals[number % len(originals)]
        link = folder / f"class{number % classes}" / f"{number:07d}{original.suffix}"
        os.link(original, link)
    return folder


def _digits(side_px: int) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """(image, label) of digits with a margin of 1/7 as in MNIST: uint8 (side, side)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    margin = side_px // 7
    inner = side_px - 2 * margin
    for image, label in zip(digits.images, digits.target.tolist(), strict=True):
        picture = np.zeros((side_px, side_px), np.uint8)
        scaled = (image * (255 / 16)).astype(np.uint8)
        picture[margin : margin + inner, margin : margin + inner] = cv2.resize(
            scaled, (inner, inner)
        )
        yield picture, label
