"""What counts as equal: files, pixels, and hashes that differ in few bits."""

import zipfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.helpers.duplicates import encoded, smooth, with_note, write_files
from tools.download.file_index import index_files
from tools.download.sources import Sources
from tools.duplicates.equal_files import EqualFiles, content_keys, first_of_equals
from tools.duplicates.equal_images import equal_groups, pixels_digest
from tools.duplicates.keys import equal_runs, mixed
from tools.duplicates.near_pairs import MAX_DISTANCE, near_pairs
from tools.images.stored_content import content_crc32, perceptual_hash
from tools.workers import Workers
from tools.writing.block_encoding import prepare_worker
from tools.writing.plan import make_plan


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1, prepare=prepare_worker) as crew:
        yield crew


def firsts(folder: Path, workers: Workers) -> dict[str, str]:
    """Path -> the path of the first equal file, for all images of a download."""
    index = index_files(str(folder))
    images = index.take(np.arange(len(index.images)))
    counted = list[int]()
    first = first_of_equals(images, workers, counted.append)
    assert sum(counted) == len(images)
    return {index.images[n]: index.images[place] for n, place in enumerate(first.tolist())}


def test_equal_files_are_found_by_content(tmp_path: Path, workers: Workers) -> None:
    large = bytes(20_000)
    other = bytearray(large)
    other[100] = 1
    files = {
        "a.jpg": b"one",
        "b.jpg": b"two",
        "sub/c.jpg": b"one",
        "d.jpg": large,
        # Equal where they are compared first.
        "e.jpg": bytes(other),
        "f.jpg": large,
        "g.jpg": b"",
        "h.jpg": b"",
    }
    write_files(tmp_path, files)
    first = firsts(tmp_path, workers)
    assert {path: one for path, one in first.items() if path != one} == {
        "sub/c.jpg": "a.jpg",
        "f.jpg": "d.jpg",
    }


def test_equal_members_of_zips_are_found(tmp_path: Path, workers: Workers) -> None:
    pictures = [encoded(smooth(n)) for n in range(3)]
    for name, numbers in (("x.zip", (0, 1)), ("y.zip", (1, 2))):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            for number in numbers:
                file.writestr(f"{name[0]}{number}.jpg", pictures[number])
    first = firsts(tmp_path, workers)
    assert {path.rpartition("/")[2]: one for path, one in first.items() if path != one} == {
        "y1.jpg": next(path for path in first if path.endswith("x1.jpg"))
    }


def test_a_file_that_can_not_be_read_equals_no_other(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.jpg": b"same", "b.jpg": b"same"})
    index = index_files(str(tmp_path))
    (tmp_path / "b.jpg").unlink()
    keys = content_keys(index.take(np.arange(2)))
    assert keys[0] != 0 and keys[1] == 0


def test_notes_do_not_change_the_content_and_pixels_do() -> None:
    for suffix in (".jpg", ".png"):
        data = encoded(smooth(1), suffix)
        pixels = smooth(1) if suffix == ".png" else None
        content = content_crc32(suffix[1:], data, pixels)
        assert content_crc32(suffix[1:], with_note(data), pixels) == content
        assert (
            content_crc32(suffix[1:], encoded(smooth(2), suffix), pixels) != content
            or pixels is not None
        )
        assert pixels_digest(data) == pixels_digest(with_note(data)) != pixels_digest(b"nothing")
    high = np.zeros((200, 30, 3), np.uint8)
    high[16, 5] = 9
    assert content_crc32("png", b"", high) != content_crc32("png", b"", np.zeros_like(high))


def test_equal_keys_of_different_pixels_are_no_group() -> None:
    one, other = encoded(smooth(1), ".png"), encoded(smooth(2), ".png")
    stored = [one, other, with_note(one), one, b"damaged", other]
    keys = np.full(len(stored), 7, np.uint64)
    assert list(equal_groups(keys, stored.__getitem__, pixels_digest)) == [[0, 2, 3], [1, 5]]
    keys[2] = 0
    assert list(equal_groups(keys, stored.__getitem__, pixels_digest)) == [[0, 3], [1, 5]]


@given(st.lists(st.integers(0, 5), max_size=30))
def test_runs_are_those_of_a_dictionary(values: list[int]) -> None:
    places: dict[int, list[int]] = {}
    for number, value in enumerate(values):
        places.setdefault(value, []).append(number)
    expected = [some for value, some in places.items() if value and len(some) > 1]
    runs = [run.tolist() for run in equal_runs(np.array(values, np.uint64))]
    assert runs == expected


def test_mixed_keys_are_equal_only_for_equal_rows() -> None:
    rows = np.stack(np.meshgrid(*[np.arange(20)] * 3)).reshape(3, -1)
    keys = mixed(*rows)
    assert len(np.unique(keys)) == 8000 and np.all(keys != 0)
    assert np.array_equal(mixed(*rows), keys)


@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.sets(st.integers(0, 63), max_size=7)), max_size=12),
)
def test_near_pairs_are_those_of_all_pairs(
    some: list[int], changes: list[tuple[int, set[int]]]
) -> None:
    for place, bits in changes:
        some.append(some[place % len(some)] ^ sum(1 << bit for bit in bits))
    expected = [
        (one, other, distance)
        for one, other in combinations(range(len(some)), 2)
        if some[one]
        and some[other]
        and (distance := (some[one] ^ some[other]).bit_count()) <= MAX_DISTANCE
    ]
    assert near_pairs(np.array(some, np.uint64)) == expected


def test_hashes_are_near_for_small_changes_and_far_for_other_pictures() -> None:
    pictures = [smooth(n, 64) for n in range(20)]
    hashes = [perceptual_hash(pixels) for pixels in pictures]
    for one, other in combinations(hashes, 2):
        assert (one ^ other).bit_count() > 2 * MAX_DISTANCE
    for pixels, one in zip(pictures, hashes, strict=True):
        brighter = np.clip(pixels.astype(np.int64) + 8, 0, 255).astype(np.uint8)
        assert (perceptual_hash(brighter) ^ one).bit_count() <= MAX_DISTANCE
    assert perceptual_hash(np.full((50, 40, 3), 77, np.uint8)) == 0


def sources_of(labels: list[int], groups: list[int] | None) -> Sources:
    return Sources(
        images=[None] * len(labels),  # type: ignore[arg-type]
        names=[f"{n}.jpg" for n in range(len(labels))],
        labels=np.array(labels, np.int32),
        classes=tuple("abc"),
        splits=None,
        groups=None if groups is None else np.array(groups, np.int32),
        rejected=(),
    )


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 20)), min_size=2),
    st.sampled_from([0.1, 0.3, 0.5]),
    st.booleans(),
)
def test_no_draw_divides_equal_files_or_groups(
    rows: list[tuple[int, int, int]], val: float, grouped: bool
) -> None:
    labels, files, groups = map(list, zip(*rows, strict=True))
    first = np.array([files.index(file) for file in files])
    sources = sources_of(labels, groups if grouped else None)
    splits = make_plan(sources, val=val, seed=3, equal=EqualFiles(first=first)).choice.splits
    _require_one_split(first, splits)
    if grouped:
        _require_one_split(np.array(groups), splits)
    else:
        distinct, of_val = len(set(files)), np.unique(first[splits == 1])
        assert abs(len(of_val) - distinct * val) <= 3
    alone = make_plan(sources, val=val, seed=3).choice.splits
    if len(set(files)) == len(files):
        assert np.array_equal(splits, alone)


def _require_one_split(codes: NDArray[np.int64], splits: NDArray[np.int8]) -> None:
    for code in np.unique(codes):
        assert len(set(splits[codes == code].tolist())) == 1


def test_equal_images_of_gray_and_color_are_equal() -> None:
    gray = cv2.cvtColor(smooth(3), cv2.COLOR_BGR2GRAY)
    one, other = encoded(np.asarray(gray, np.uint8), ".png"), encoded(np.dstack([gray] * 3), ".png")
    assert pixels_digest(one) == pixels_digest(other)
