"""Sentences of ``tools/shard`` about labels that may not mean what they were taken for."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.shard_runs import shard

HINT = "To learn numbers, pass --task regression."
AGES = [str(5 * number) for number in range(18)]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (AGES, "The 18 classes are numbers from 0 to 85 with gaps"),
        ([f"{number}.0" for number in range(1900, 2020, 10)], "12 classes are numbers from 1900"),
        ([str(number) for number in range(1, 21)], None),
        ([f"{number:03}" for number in range(20)], None),
        ([f"c{age}" for age in AGES], None),
        (["1", "2", "4", "8", "16"], None),
    ],
)
def test_classes_that_may_be_measured_values(
    labels: list[str], sentence: str | None, tmp_path: Path
) -> None:
    src = tmp_path / "src"
    src.mkdir()
    with (src / "train.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "age"])
        for number in range(4 * len(labels)):
            cv2.imwrite(str(src / f"{number}.png"), np.full((8, 8, 3), number, np.uint8))
            rows.writerow([f"{number}.png", labels[number % len(labels)]])
    planned = shard(src, tmp_path / "out", "--dry-run")
    assert planned.exit_code == 0, planned.output
    flat = " ".join(planned.output.split())
    assert (HINT in flat) == (sentence is not None)
    assert sentence is None or sentence in flat
