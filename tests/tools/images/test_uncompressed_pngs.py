"""Small PNGs made in bulk equal those of OpenCV."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tools.images.codec import encode_pixels
from tools.images.encoding import Encoding
from tools.images.uncompressed_pngs import stored_pngs
from tools.pixel_tables.spool import SpooledPixels
from tools.writing import block_encoding
from tools.writing.block_encoding import encode_block
from tools.writing.blocks import Block, BlockSettings

SHAPES = [(28, 28), (4, 4), (15, 16), (7, 31), (1, 1000), (8, 8, 3), (16, 18, 3), (1, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_equal_those_of_opencv(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
    pixels[0] = 0
    for png, image in zip(stored_pngs(pixels), pixels, strict=True):
        upside = image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])
        assert png.tobytes() == encode_pixels(upside, Encoding(mode="png")).data
        assert np.array_equal(cv2.imdecode(png, cv2.IMREAD_UNCHANGED), upside)


@pytest.mark.parametrize("labeled_fraction", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("measured_every", [1, 3, 1000])
@pytest.mark.parametrize(
    ("shape", "planar", "task"),
    [
        ((28, 28), False, "classification"),
        ((8, 8, 3), False, "classification"),
        ((8, 8, 3), True, "classification"),
        ((5, 7), False, "regression"),
    ],
)
def test_a_small_block_equals_images_one_by_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, ...],
    planar: bool,
    task: str,
    measured_every: int,
    labeled_fraction: float,
) -> None:
    generator = np.random.default_rng(0)
    labeled = generator.random(30) < labeled_fraction
    spool = tmp_path / "spool"
    spool.write_bytes(generator.integers(0, 256, (50, *shape), np.uint8).tobytes())
    block = Block(
        first=7,
        images=SpooledPixels(spool, generator.permutation(50)[:30], shape, planar),
        labeled=labeled,
        labels=np.where(labeled, generator.integers(0, 12, 30), -1).astype(np.int32),
        targets=generator.random((30, 4), np.float32) if task == "regression" else None,
        settings=BlockSettings(
            task=task,
            classes=12 if task == "classification" else 0,
            encoding=Encoding(),
            measured_every=measured_every,
        ),
        folder=tmp_path,
    )
    made = encode_block(block)
    (part,) = made.parts
    segment = part.read_bytes()
    monkeypatch.setattr(block_encoding, "_is_small", lambda block: False)
    single = encode_block(block)
    assert part.read_bytes() == segment and made.size_bytes == single.size_bytes
    for name in made.rows.dtype.names or ():
        np.testing.assert_array_equal(made.rows[name], single.rows[name], err_msg=name)
    np.testing.assert_array_equal(made.class_counts, single.class_counts)
    assert made.rejected == single.rejected == ()
