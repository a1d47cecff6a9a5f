"""A download with planted copies of its images, and how many of them ``duplicates.csv`` names."""

import csv
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.errors import DataError
from pipeline.text import plural
from tools.duplicates.groups import NEAR

# Of the images; a third of each kind.
SHARE = 0.05
QUALITY, FACTOR = 80, 0.9


def _recode(original: Path, copy: Path) -> None:
    pixels = _decode(original)
    cv2.imwrite(str(copy.with_suffix(".jpg")), pixels, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))


def _resize(original: Path, copy: Path) -> None:
    pixels = _decode(original)
    sides = [max(1, round(FACTOR * side)) for side in pixels.shape[1::-1]]
    small = cv2.resize(pixels, sides, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(copy.with_suffix(".png")), small)


def _decode(path: Path) -> cv2.typing.MatLike:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DataError(f"{path} can't be decoded: give images that OpenCV reads.")
    return pixels


KINDS: dict[str, Callable[[Path, Path], object]] = {
    "exact": shutil.copyfile,
    f"re-encoded as JPEG q{QUALITY}": _recode,
    "resized by 10 %": _resize,
}


@dataclass(frozen=True, kw_only=True)
class PlantedCopy:
    """Paths are relative to the download, without their suffixes."""

    kind: str
    original: str
    copy: str


def plant_copies(download: Path, seed: int = 0) -> list[PlantedCopy]:
    """Add copies of SHARE of the images in the class folders of `download`, each to another class
    folder than its original."""
    images = sorted(path for path in download.rglob("*") if path.is_file())
    folders = sorted({path.parent for path in images})
    chosen = np.random.default_rng(seed).permutation(len(images))[: round(SHARE * len(images))]
    planted = []
    for number, original in enumerate(images[n] for n in sorted(chosen.tolist())):
        kind = list(KINDS)[number % len(KINDS)]
        other = folders[(folders.index(original.parent) + 1) % len(folders)]
        copy = other / f"copy-{number:06d}{original.suffix}"
        KINDS[kind](original, copy)
        names = [_name(path.relative_to(download)) for path in (original, copy)]
        planted.append(PlantedCopy(kind=kind, original=names[0], copy=names[1]))
    return planted


def _name(path: Path) -> str:
    """The path without its suffix, which a copy may not share."""
    return path.with_suffix("").as_posix()


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a table of duplicates has of the planted copies: kind -> number found and planted; the
    pairs that are near, and those of them that are planted."""

    found: dict[str, tuple[int, int]]
    near: int
    near_planted: int

    def __str__(self) -> str:
        kinds = ", ".join(
            f"{found} of {planted} {kind}" for kind, (found, planted) in self.found.items()
        )
        near = plural(self.near, "near pair")
        return f"{kinds} are found; {self.near_planted} of {near} are planted."


def score_table(table: Path, planted: Sequence[PlantedCopy]) -> Score:
    """Compare ``duplicates.csv`` with what was planted: a copy is found if a group, or a pair,
    holds it with its original."""
    groups: dict[str, tuple[str, list[str]]] = {}
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            members = groups.setdefault(row["group"], (row["match"], []))[1]
            members.append(_name(Path(row["source"])))
    kinds = {frozenset((one.original, one.copy)): one.kind for one in planted}
    pairs = {
        frozenset((one, other))
        for _, members in groups.values()
        for place, one in enumerate(members)
        for other in members[:place]
    }
    near = [frozenset(names) for match, names in groups.values() if match.startswith(NEAR)]
    hits, totals = Counter(kinds[pair] for pair in pairs & kinds.keys()), Counter(kinds.values())
    return Score(
        found={kind: (hits[kind], totals[kind]) for kind in KINDS if totals[kind]},
        near=len(near),
        near_planted=sum(pair in kinds for pair in near),
    )
