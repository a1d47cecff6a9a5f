"""Masks of several files and of run lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tools.images.decoding import UnsoundImageError
from tools.images.mask_files import RunLengthMasks, decode_runs, pack, pack_runs, unpack

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))


def runs_of(mask: np.ndarray) -> str:
    """Start and length of the runs of true pixels, column by column, counted from 1."""
    flat = np.concatenate([[0], mask.T.ravel(), [0]]).astype(np.int8)
    starts, ends = np.flatnonzero(np.diff(flat) == 1), np.flatnonzero(np.diff(flat) == -1)
    return " ".join(f"{a + 1} {b - a}" for a, b in zip(starts, ends, strict=True))


@given(shapes.flatmap(lambda shape: arrays(np.bool_, (2, *shape))))
def test_run_lengths_come_back(objects: np.ndarray) -> None:
    data = pack_runs([(n + 1, runs_of(mask)) for n, mask in enumerate(objects)])
    mask = decode_runs(data, objects.shape[1:])
    assert np.array_equal(mask, np.where(objects[1], 2, objects[0]))
    (size_bytes, loaded), _ = RunLengthMasks((data, b"")).load(0)
    assert loaded == data and size_bytes == len(data)


@pytest.mark.parametrize("runs", ["0 2", "5 3", "7 1", "1 0"])
def test_runs_out_of_the_image_are_refused(runs: str) -> None:
    with pytest.raises(UnsoundImageError, match=f"the run {runs} leaves the image of 3 x 2 px"):
        decode_runs(pack_runs([(1, runs)]), (2, 3))


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_files_come_back(files: list[bytes]) -> None:
    assert unpack(pack(files)) == files


def test_a_single_file_is_itself() -> None:
    assert unpack(b"\x89PNG") == [b"\x89PNG"]
