"""Mask files become class indices, whatever they hold."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.pillow_reading import written
from tools.images.decoding import Pixels, UnsoundImageError
from tools.images.guards import StderrCapture
from tools.images.masks import MaskColors, encode_mask, nearest_classes

COLORS = ((0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 128, 255))
CLASSES = MaskColors(colors=COLORS)
BRIGHT = MaskColors(colors=None)
SIZE = (40, 60)


def truth() -> Pixels:
    """Class indices (40, 60): a quarter of each."""
    return np.repeat(np.repeat(np.array([[0, 1], [2, 3]], np.uint8), 20, axis=0), 30, axis=1)


def painted(indices: Pixels) -> Image.Image:
    return Image.fromarray(np.array(COLORS, np.uint8)[indices])


def encode(data: bytes, colors: MaskColors = CLASSES, **arguments: object) -> Pixels:
    with StderrCapture() as stderr:
        png, indices = encode_mask(data, colors, SIZE, stderr, **arguments)  # type: ignore[arg-type]
    stored = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert indices.dtype == np.uint8
    np.testing.assert_array_equal(stored, indices)
    return indices


@pytest.mark.parametrize("name", ["PNG", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
def test_colors_become_classes(name: str, mode: str) -> None:
    image = painted(truth()).quantize(8) if mode == "P" else painted(truth()).convert(mode)
    np.testing.assert_array_equal(encode(written(image, name)), truth())


def test_the_noise_of_jpeg_does_not_matter() -> None:
    data = written(painted(truth()), "JPEG", quality=95, subsampling=0)
    assert np.mean(encode(data) == truth()) > 0.99


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_nearest_is_exact(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 256, (count, 3))
    pixels = rng.integers(0, 256, (7, 9, 3), np.uint8)
    distances = ((pixels[:, :, None, ::-1].astype(int) - colors) ** 2).sum(axis=3)
    indices = nearest_classes(pixels, tuple(map(tuple, colors.tolist())))
    np.testing.assert_array_equal(indices, distances.argmin(axis=2))


def test_nearest_is_exact_for_a_large_noisy_mask() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)
    indices = nearest_classes(pixels, COLORS)
    row = pixels[37, :, None, ::-1].astype(int)
    np.testing.assert_array_equal(indices[37], ((row - COLORS) ** 2).sum(axis=2).argmin(axis=1))


def test_256_classes() -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    colors = tuple((n, n, n) for n in range(256))
    np.testing.assert_array_equal(nearest_classes(gray, colors), gray)


@pytest.mark.parametrize(("threshold", "bright"), [(128, 1), (100, 2), (0, 3), (255, 0)])
def test_threshold_of_gray_masks(threshold: int, bright: int) -> None:
    gray = np.zeros(SIZE, np.uint8)
    gray[:, 20:40], gray[:, 40:] = 100, 254
    indices = encode(
        written(Image.fromarray(gray), "PNG"), MaskColors(colors=None, threshold=threshold)
    )
    assert indices.sum() == bright * 800
    sixteen = Image.fromarray(gray * np.uint16(257))
    again = encode(written(sixteen, "PNG"), MaskColors(colors=None, threshold=threshold))
    np.testing.assert_array_equal(again, indices)


def test_a_mask_shrinks_with_its_image() -> None:
    data = written(painted(truth()), "PNG")
    indices = encode(data, stored_size=(10, 15))
    np.testing.assert_array_equal(indices, truth()[2::4, 2::4])
    np.testing.assert_array_equal(encode(data, stored_size=SIZE), truth())


def test_a_mask_becomes_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = painted(np.rot90(truth()))
    np.testing.assert_array_equal(encode(written(turned, "PNG", exif=exif)), truth())
    np.testing.assert_array_equal(encode(written(turned, "TIFF", exif=exif)), truth())


def test_unsound_masks_are_rejected() -> None:
    half = painted(truth()).convert("RGBA")
    half.putpixel((3, 3), (0, 0, 0, 10))
    counted = Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(SIZE))
    for data, reason in (
        (written(half, "PNG"), "partly transparent"),
        (written(counted, "PNG"), "16 bits a pixel"),
        (written(painted(truth()[:20]), "PNG"), "the mask has 60 x 20 px, its image 60 x 40 px"),
        (written(painted(truth()).resize((900, 900)), "PNG"), "the mask has 900 x 900 px"),
        (written(painted(np.rot90(truth())), "PNG"), "the mask has 40 x 60 px, its image 60 x 40"),
        (written(painted(truth()), "PNG")[:90], "damaged or cut off"),
        (b"<html>", "an HTML page"),
    ):
        with pytest.raises(UnsoundImageError, match=reason):
            encode(data)


def test_a_gray_mask_of_class_numbers_is_rejected() -> None:
    indices = np.zeros((6, 8), np.uint8)
    indices[2:] = 2
    data = bytes(cv2.imencode(".png", indices)[1])
    with StderrCapture() as stderr, pytest.raises(UnsoundImageError, match=r"is 2.*--mask-colors"):
        encode_mask(data, MaskColors(colors=None), (6, 8), stderr)
