"""Small downloads of competitions: labeled images, test images without labels, and a sample
submission."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.helpers.submissions import csv_text

LABELED, TESTS = 48, 9
SIDE_PX = 40
Pixels = NDArray[np.uint8]
COLORS = {"blue": (255, 0, 0), "green": (0, 255, 0), "red": (0, 0, 255)}


def write_competition(folder: Path, task: str) -> list[str]:
    """Write a download of `task` into `folder`; the ids of the test images in the order of the
    sample submission."""
    names = [f"{number:03d}" for number in range(LABELED + TESTS)]
    tests = [*names[:LABELED:-1], names[LABELED]]
    for place in ("train", "test"):
        (folder / place).mkdir(parents=True)
    {
        "classification": _classification,
        "multi-label": _multi_label,
        "regression": _regression,
        "segmentation": _segmentation,
    }[task](folder, names, tests)
    return tests


def _write_images(folder: Path, names: list[str], image: Callable[[int], Pixels]) -> None:
    for number, name in enumerate(names):
        place = "train" if number < LABELED else "test"
        cv2.imwrite(str(folder / place / f"{name}.png"), image(number))


Rows = list[tuple[str, object]]


def _write_tables(
    folder: Path, header: tuple[str, str], rows: Rows, asked: list[str], cell: str
) -> None:
    (folder / "train.csv").write_text(csv_text(header, *rows))
    (folder / "sample_submission.csv").write_text(
        csv_text(header, *((name, cell) for name in asked))
    )


def _shaded(number: int, color: object) -> Pixels:
    """Noise of `number` plus a BGR color."""
    pixels = _noise(number) + np.asarray(color, np.int64)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _noise(number: int) -> NDArray[np.int64]:
    return np.random.default_rng(number).integers(0, 60, (SIDE_PX, SIDE_PX, 3))


def _classification(folder: Path, names: list[str], tests: list[str]) -> None:
    colors = list(COLORS)

    def image(number: int) -> Pixels:
        return _shaded(number, COLORS[colors[number % 3]])

    _write_images(folder, names, image)
    rows = [(name, colors[number % 3]) for number, name in enumerate(names[:LABELED])]
    _write_tables(folder, ("id", "color"), rows, tests, "red")


def _multi_label(folder: Path, names: list[str], tests: list[str]) -> None:
    def tags(number: int) -> list[str]:
        return [tag for bit, tag in enumerate(COLORS) if (number + 1) >> bit & 1] or ["red"]

    def image(number: int) -> Pixels:
        return _shaded(number, np.sum([COLORS[tag] for tag in tags(number)], axis=0))

    _write_images(folder, names, image)
    rows = [(f"{name}.png", " ".join(tags(n))) for n, name in enumerate(names[:LABELED])]
    asked = [f"{name}.png" for name in tests]
    _write_tables(folder, ("image_name", "tags"), rows, asked, "red green")


def _regression(folder: Path, names: list[str], tests: list[str]) -> None:
    def image(number: int) -> Pixels:
        return _shaded(number, 3 * number)

    _write_images(folder, names, image)
    rows = [(name, 20 + number / 2) for number, name in enumerate(names[:LABELED])]
    _write_tables(folder, ("Id", "Age"), rows, tests, "0.5")


def _segmentation(folder: Path, names: list[str], tests: list[str]) -> None:
    masks = folder / "train_masks"
    masks.mkdir()
    for number, name in enumerate(names):
        mask = np.zeros((SIDE_PX, SIDE_PX + number % 9), np.uint8)
        cv2.circle(mask, (10 + number % 20, 18), 6, 255, -1)
        picture = cv2.merge([mask // 2 + 20] * 3)
        place = "train" if number < LABELED else "test"
        cv2.imwrite(str(folder / place / f"{name}.png"), picture)
        if place == "train":
            cv2.imwrite(str(masks / f"{name}.png"), mask)
    rows = csv_text(("img", "rle_mask"), *((name, "1 1") for name in tests))
    (folder / "sample_submission.csv").write_text(rows)
