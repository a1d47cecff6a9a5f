"""The range of pixels is measured, or asked for: images are never black by mistake."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import MisuseError
from tests.helpers.array_downloads import classes_of, collect, images_of, pictures, write_arrays
from tools.images.pixel_range import PixelRange, common_range, given_range, measure_range

GRAY, LABELS = pictures(30, 9, 12), classes_of(30)
MEASURED: dict[str, tuple[Any, str]] = {
    "bool": (GRAY > 127, "true or false"),
    "floats to 1": ((GRAY / 255).astype(np.float32), "float32 from 0 to 1: they are multiplied"),
    "halves": ((GRAY / 255).astype(np.float16), "float16 from 0 to 1"),
    "floats to 255": (GRAY.astype(np.float32), "float32 from 0 to 255"),
    "floats around 0": (GRAY / 127.5 - 1, "float64 from -1 to 1"),
    "16 bits": (GRAY.astype(np.uint16) * 257, "The pixels are uint16: 0 to 65535"),
    "12 bits": (np.rint(GRAY / 255 * 4095).astype(np.uint16), "use 12 bits of uint16"),
    "10 bits": (np.rint(GRAY / 255 * 1023).astype(np.int32), "use 10 bits of int32"),
    "8 bits of 16": (GRAY.astype(np.uint16), ""),
}


@pytest.mark.parametrize("form", MEASURED)
def test_a_measured_range(tmp_path: Path, form: str) -> None:
    stored, text = MEASURED[form]
    write_arrays(tmp_path / "a.npz", images=stored, labels=LABELS)
    sources, _ = collect(tmp_path)
    expected = np.where(GRAY > 127, 255, 0) if form == "bool" else GRAY.astype(int)
    assert np.abs(images_of(sources).astype(int) - expected).max() <= (form == "halves")
    assert text in " ".join(sources.notes) and bool(text) == bool(sources.notes)


@pytest.mark.parametrize(
    ("values", "option"),
    [
        (GRAY / 16, "--pixel-range 0 15.9375"),
        (GRAY / 255 - 0.5, "--pixel-range -0.5 0.5\n  --pixel-range -1 1"),
        ((GRAY / 255 - 0.45) / 0.22, "--pixel-range -2.04545 2.5"),
        (GRAY.astype(np.int16) * 8 - 1000, "--pixel-range -1000 1040"),
        (GRAY // 16 + np.int64(0), "--pixel-range 0 15\n  --pixel-range 0 255"),
        (GRAY.astype(np.int64) * 2**20, "--pixel-range 0 267386880"),
    ],
)
def test_a_range_that_is_asked_for(tmp_path: Path, values: Any, option: str) -> None:
    write_arrays(tmp_path / "a.npz", images=values, labels=LABELS)
    with pytest.raises(MisuseError) as caught:
        collect(tmp_path)
    assert option in caught.value.message and caught.value.message.startswith("a.npz images: ")
    low, high = (float(word) for word in option.splitlines()[0].split()[1:])
    sources, _ = collect(tmp_path, pixel_range=(low, high))
    assert images_of(sources).min() == 0 and images_of(sources).max() > 250


def test_a_dark_uint8_array_is_said(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", images=GRAY // 64, labels=LABELS)
    sources, _ = collect(tmp_path)
    assert images_of(sources).max() == 3
    assert "pass --pixel-range 0 3" in " ".join(sources.notes)
    assert images_of(collect(tmp_path, pixel_range=(0.0, 3.0))[0]).max() == 255


def test_rows_outside_of_the_range_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.arrays.stored_array.SAMPLED_BYTES", 2**18)
    images = np.repeat((GRAY / 255).astype(np.float32), 200, axis=0).repeat(4, axis=1)
    images[17, 3, 3], images[4001, 0, 0] = np.nan, 1.7
    write_arrays(tmp_path / "a.npy", images)
    write_arrays(tmp_path / "a_labels.npy", np.repeat(LABELS, 200))
    sources, labeled = collect(tmp_path)
    assert [name for name, _ in sources.rejected] == ["a.npy row 18", "a.npy row 4002"]
    assert "NaN" in sources.rejected[0][1] and "1.7" in sources.rejected[1][1]
    assert len(sources) == len(labeled) == 5998


def test_splits_have_one_range(tmp_path: Path) -> None:
    full, dark = GRAY.astype(np.uint16) * 16, GRAY.astype(np.uint16)
    write_arrays(tmp_path / "a.npz", x_train=full, y_train=LABELS, x_test=dark, y_test=LABELS)
    sources, _ = collect(tmp_path)
    assert images_of(sources)[30:].max() == 16
    write_arrays(
        tmp_path / "a.npz", x_train=GRAY / 255, y_train=LABELS, x_test=GRAY * 1.0, y_test=LABELS
    )
    with pytest.raises(MisuseError, match="different ranges"):
        collect(tmp_path)


def test_ranges_as_values() -> None:
    assert measure_range(GRAY).is_identity and measure_range(GRAY).text == ""
    assert measure_range(np.array([np.nan, 0.2, 1.0])) == measure_range(np.array([0.5, 1.0]))
    twelve = measure_range(np.array([0, 4000], np.uint16))
    assert (twelve.low, twelve.high) == (0, 4095)
    np.testing.assert_array_equal(
        twelve.to_uint8(np.array([[0, 4095], [2048, 5000]], np.uint16)), [[0, 255], [128, 255]]
    )
    assert twelve.outside(np.array([[0, 4095], [2048, 5000]], np.uint16)).tolist() == [False, True]
    assert not given_range(0, 4095).outside(np.array([[5000]])).any()
    assert common_range([twelve, PixelRange(0, 255)]).high == 4095
    with pytest.raises(ValueError, match="complex"):
        measure_range(np.zeros(3, complex))


def test_an_empty_range_is_misuse(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", images=GRAY, labels=LABELS)
    with pytest.raises(MisuseError, match="--pixel-range 5 5"):
        collect(tmp_path, pixel_range=(5.0, 5.0))
