"""Numbers from 0 to 30 in two digits by hand: a download of 31 classes, in class folders."""

from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits

CLASSES = tuple(f"n{number:02d}" for number in range(31))
IMAGES_PER_CLASS = 10


def write_two_digits(folder: Path) -> Path:
    """Write ``folder/nXX/XX-K.png``, gray, 8 x 16 px, from scikit-learn's digits."""
    digits = load_digits()
    pixels = (digits.images * (255 / 16)).round().astype(np.uint8)
    by_digit = [pixels[digits.target == digit] for digit in range(10)]
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        tens, ones = divmod(number, 10)
        for k in range(IMAGES_PER_CLASS):
            # Each image of a digit is part of one image only.
            left, right = by_digit[tens][10 * ones + k], by_digit[ones][100 + 10 * tens + k]
            path = folder / name / f"{number:02d}-{k}.png"
            cv2.imwrite(str(path), np.hstack([left, right]))
    return folder
