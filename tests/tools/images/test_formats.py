"""Formats, modes and orientations are read as Pillow and OpenCV read them."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.helpers.image_files import JPEG, encode, picture, read, with_orientation, write
from tests.helpers.pillow_reading import pillow_reading, written
from tools.images.codec import UnsoundImageError
from tools.images.decoding import upright
from tools.images.headers import read_header


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_like_opencv_does(orientation: int) -> None:
    data = with_orientation(JPEG, orientation)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(encode(data, mode="png").pixels, expected)
    assert (encode(data).data == data) is (orientation == 1)


def test_upright_rotates_by_orientation() -> None:
    letter = np.array([[1, 2], [3, 4], [5, 6]], np.uint8)
    assert upright(letter, 6).tolist() == [[5, 3, 1], [6, 4, 2]]
    assert upright(letter, 8).tolist() == [[2, 4, 6], [1, 3, 5]]


RGB = Image.fromarray(picture(40, 48))
GRAY = Image.fromarray(picture(40, 48, 1))
RGBA = Image.fromarray(picture(40, 48, 4))
MODES = {
    "RGB": RGB,
    "RGBA": RGBA,
    "L": GRAY,
    "LA": Image.merge("LA", [GRAY, RGBA.getchannel(3)]),
    "P": RGB.quantize(50),
    "I;16": Image.fromarray(np.asarray(GRAY).astype(np.uint16) * 251),
    "1": GRAY.convert("1"),
    "CMYK": RGB.convert("CMYK"),
}

LOSSLESS = {"WEBP": {"lossless": True}, "TIFF": {"compression": "tiff_lzw"}}
WRITTEN = {
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "I;16", "1"),
    "JPEG": ("RGB", "L", "CMYK"),
    "GIF": ("RGB", "RGBA", "L", "P", "1"),
    "BMP": ("RGB", "RGBA", "L", "P", "1"),
    "TIFF": ("RGB", "RGBA", "L", "P", "I;16", "1", "CMYK"),
    "WEBP": ("RGB", "RGBA", "L", "LA", "P"),
    "AVIF": ("RGB", "RGBA", "L", "LA", "P"),
    "JPEG2000": ("RGB", "RGBA", "L", "I;16"),
    "PPM": ("RGB", "L", "I;16", "1"),
}


@pytest.mark.parametrize(
    ("format", "mode"), [(name, mode) for name, modes in WRITTEN.items() for mode in modes]
)
def test_formats_and_modes_match_pillow(format: str, mode: str) -> None:
    assert_as_pillow(written(MODES[mode], format, **LOSSLESS.get(format, {})))


@pytest.mark.parametrize(("format", "mode"), [("TIFF", "LA"), ("JPEG2000", "LA")])
def test_formats_that_opencv_reads_wrongly_are_rejected(format: str, mode: str) -> None:
    with pytest.raises(UnsoundImageError, match="save it as PNG first"):
        encode(written(MODES[mode], format))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_in_every_format(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_as_pillow(written(RGB, format, exif=exif, **LOSSLESS.get(format, {})))
    if format == "TIFF":
        for mode in ("L", "I;16", "RGBA"):
            assert_as_pillow(written(MODES[mode], format, exif=exif))


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_the_first_frame_is_read(format: str) -> None:
    frames = [Image.fromarray(picture(40, 48, seed=seed)) for seed in range(3)]
    arguments = {"save_all": True, "append_images": frames[1:], **LOSSLESS.get(format, {})}
    assert_as_pillow(written(frames[0], format, **arguments))


def test_xmp_orientation_applies_without_exif() -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert_as_pillow(written(RGB, "JPEG", xmp=xmp))
    assert_as_pillow(written(RGB, "WEBP", xmp=xmp, lossless=True))


def assert_as_pillow(data: bytes) -> None:
    pixels = encode(data, mode="png").pixels
    assert pixels is not None
    rgb = np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels[:, :, ::-1]
    expected = pillow_reading(data)
    assert rgb.shape == expected.shape
    # CMYK is rounded otherwise.
    assert np.abs(rgb.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("sampling", [444, 422, 420, 440, 411])
def test_usual_chroma_sampling_is_plain(sampling: int) -> None:
    factor = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}")
    data = write(picture(90, 120), ".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor)
    assert encode(data).data == data
    offset = data.index(b"\xff\xc0") + 11
    odd = data[:offset] + b"\x13" + data[offset + 1 :]
    header = read_header(odd)
    assert header is not None and not header.plain


def test_png_suite(shared_data: Callable[[str], Path]) -> None:
    """Every valid file is stored as DALI can read it, every broken one refused."""
    folder = shared_data("decoder_edge_dev") / "pngsuite"
    for path in sorted(folder.glob("*.png")):
        if path.name.startswith("x"):
            with pytest.raises(UnsoundImageError):
                encode(path.read_bytes())
        else:
            encoded = encode(path.read_bytes())
            header = read_header(encoded.data)
            assert header is not None and header.plain, path.name
            np.testing.assert_array_equal(read(encoded.data), encoded.pixels)


def test_real_exif_files_become_upright(shared_data: Callable[[str], Path]) -> None:
    for path in sorted((shared_data("decoder_edge_dev") / "exif_orientation").glob("*_[68].jpg")):
        encoded = encode(path.read_bytes(), longest_side=90)
        shape = (60, 90, 3) if path.name.startswith("Landscape") else (90, 60, 3)
        assert encoded.pixels.shape == shape, path.name
