"""Pictures and shards for the parts, written once into --data."""

import shutil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.downloads import image_files
from benchmarks.datasets.photographs import prepare_format
from benchmarks.on_gpu.config import GpuRun

# The median size of ImageNet's photographs.
HEIGHT_PX, WIDTH_PX = 375, 500
QUALITY = 90
SAMPLINGS = {
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


def pictures_folder(config: GpuRun) -> Path:
    """--src, or a folder of synthetic pictures."""
    if config.src is not None:
        return Path(config.src).absolute()
    folder = config.data_folder / f"synthetic-{config.amounts.pictures}"
    if not folder.exists():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for number in range(config.amounts.pictures):
            cv2.imwrite(str(unfinished / f"{number:04d}.jpg"), synthetic_picture(number))
        unfinished.rename(folder)
    return folder


def shards_folder(config: GpuRun, form: str) -> Path:
    """The folder that holds ``shards`` of the pictures, as JPEG or as PNG."""
    return prepare_format(
        config.data_folder, pictures_folder(config), config.amounts.images, form
    ).absolute()


def picture_files(config: GpuRun) -> list[Path]:
    """At most the number of pictures that the parts use. Raises ``DataError`` without any."""
    return image_files(pictures_folder(config))[: config.amounts.pictures]


def encoded_pictures(config: GpuRun, sampling: str) -> list[NDArray[np.uint8]]:
    """The pictures as JPEG with a chroma sampling of SAMPLINGS."""
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling]]
    pictures = (cv2.imread(str(path), cv2.IMREAD_COLOR) for path in picture_files(config))
    return [cv2.imencode(".jpg", each, options)[1].ravel() for each in pictures if each is not None]


def synthetic_picture(number: int) -> NDArray[np.uint8]:
    """Areas, edges and some noise in color: uint8 (HEIGHT_PX, WIDTH_PX, 3)."""
    draw = np.random.default_rng(number)
    coarse = draw.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        center = (int(draw.integers(WIDTH_PX)), int(draw.integers(HEIGHT_PX)))
        color = tuple(map(int, draw.integers(0, 256, 3)))
        cv2.circle(picture, center, int(draw.integers(5, 80)), color, -1)
    noisy = np.clip(picture + draw.normal(0, 6, picture.shape), 0, 255)
    levels: NDArray[np.uint8] = noisy.astype(np.uint8)
    return levels
