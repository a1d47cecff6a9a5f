"""Bytes, pixels and size of stored images."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.image_files import (
    GRAY_PNG,
    JPEG,
    PNG,
    PROGRESSIVE,
    SMALL_PNG,
    encode,
    picture,
    read,
    write,
)
from tests.helpers.pillow_reading import written
from tools.images.codec import channel_sums, psnr_decibel
from tools.images.decoding import eight_bit, flatten
from tools.images.formats import identify
from tools.images.headers import read_header
from tools.images.non_images import describe_non_image
from tools.images.tiff import exif_orientation, xmp_orientation


def test_headers() -> None:
    header = read_header(JPEG)
    assert header is not None
    assert (header.format, header.height, header.width, header.plain) == ("jpeg", 90, 120, True)
    png = read_header(GRAY_PNG)
    assert png is not None and (png.format, png.height, png.width, png.plain) == (
        "png",
        32,
        32,
        True,
    )
    for data in (PROGRESSIVE, write(picture(9, 9, 4), ".png")):
        header = read_header(data)
        assert header is not None and not header.plain
    assert read_header(b"GIF89a") is None
    for length in range(40):
        read_header(JPEG[:length])
        read_header(PNG[:length])
    assert exif_orientation(b"II*\0\xff\xff\xff\xff") is None
    assert xmp_orientation(b"<a tiff:Orientation='6'/>") == 6
    assert xmp_orientation(b"<tiff:Orientation>8</tiff:Orientation>") == 8
    assert xmp_orientation(b"<tiff:Orientation>9</tiff:Orientation>") is None


@given(
    beginning=st.sampled_from(
        [
            *(write(picture(9, 9), suffix) for suffix in (".jpg", ".png", ".gif", ".bmp", ".tiff")),
            *(
                write(picture(9, 9), suffix)
                for suffix in (".webp", ".avif", ".ppm", ".pam", ".ras")
            ),
            write(picture(64, 64), ".jp2"),
            b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10",
        ]
    ),
    length=st.integers(0, 200),
    rest=st.binary(max_size=60),
)
def test_any_bytes_get_a_header_or_a_description(
    beginning: bytes, length: int, rest: bytes
) -> None:
    for data in (beginning[:length] + rest + beginning[length + len(rest) :], rest):
        name, header = identify(data)
        assert name or describe_non_image(data)
        assert header is None or (header.height >= 0 and header.width >= 0)


@pytest.mark.parametrize(
    ("data", "mode", "component", "kept"),
    [
        (JPEG, "auto", "jpg", True),
        (JPEG, "keep", "jpg", True),
        (JPEG, "jpeg", "jpg", False),
        (JPEG, "png", "png", False),
        (JPEG + b"trailing garbage", "auto", "jpg", True),
        (PROGRESSIVE, "auto", "jpg", False),
        (PROGRESSIVE, "keep", "jpg", False),
        (PNG, "auto", "jpg", False),
        (PNG, "keep", "png", True),
        (PNG, "png", "png", True),
        (SMALL_PNG, "auto", "png", True),
        (GRAY_PNG, "auto", "png", True),
        (SMALL_PNG, "jpeg", "jpg", False),
        (write(picture(32, 32), ".bmp"), "auto", "png", False),
        (write(picture(32, 32), ".webp", cv2.IMWRITE_WEBP_QUALITY, 101), "keep", "png", False),
        (write(picture(32, 32, 4), ".png"), "keep", "png", False),
    ],
)
def test_stored_component_and_bytes(data: bytes, mode: str, component: str, kept: bool) -> None:
    encoded = encode(data, mode=mode)
    assert encoded.component == component
    assert (encoded.data == data) is kept
    assert encoded.pixels is not None
    assert encoded.pixels.shape[:2] == (encoded.height, encoded.width)
    header = read_header(encoded.data)
    assert header is not None and header.plain and header.orientation == 1
    stored = read(encoded.data)
    if not encoded.lossy:
        np.testing.assert_array_equal(stored, encoded.pixels)
    else:
        assert psnr_decibel(encoded) > 28


def test_sixteen_bits_and_alpha() -> None:
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    pixels = encode(write(ramp, ".png")).pixels
    assert pixels.dtype == np.uint8 and pixels[0, 0] == 0 and pixels[-1, -1] == 255
    clear = picture(32, 32, 4)
    clear[:16, :, 3], clear[16:, :, 3] = 0, 255
    flat = encode(write(clear, ".png")).pixels
    assert np.all(flat[:16] == 255)
    np.testing.assert_array_equal(flat[16:], clear[16:, :, :3])


def test_every_16_bit_value_is_scaled() -> None:
    values = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(eight_bit(values), np.round(values / 257))


@pytest.mark.parametrize(("alpha", "behind"), [("white", 255), ("black", 0), ("drop", 100)])
def test_background_of_transparent_pixels(alpha: str, behind: int) -> None:
    clear = np.full((32, 32, 4), 100, np.uint8)
    clear[:, :, 3] = np.repeat([0, 255], 16)
    flat = encode(write(clear, ".png"), alpha=alpha).pixels
    assert flat is not None
    assert np.all(flat[:, :16] == behind) and np.all(flat[:, 16:] == 100)
    gray = Image.fromarray(np.repeat(np.array([[7, 200]], np.uint8), 32, axis=0))
    for image, value in ((gray, 200), (Image.fromarray(np.asarray(gray) * np.uint16(257)), 51400)):
        pixels = encode(written(image, "PNG", transparency=value), alpha=alpha).pixels
        assert pixels is not None
        assert pixels[0].tolist() == [7, 200 if alpha == "drop" else behind]


def test_alpha_in_stripes_equals_alpha_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clear = picture(301, 203, 4)
    whole = [flatten(clear, "white", kind) for kind in ("straight", "premultiplied", "unused")]
    monkeypatch.setattr("tools.images.decoding._STRIPE_PIXELS", 1000)
    for kind, expected in zip(("straight", "premultiplied", "unused"), whole, strict=True):
        np.testing.assert_array_equal(flatten(clear, "white", kind), expected)


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({"longest_side": 60}, (45, 60, 3)),
        ({"shortest_side": 45}, (45, 60, 3)),
        ({"shortest_side": 80, "longest_side": 40}, (30, 40, 3)),
        ({"longest_side": 500}, (90, 120, 3)),
    ],
)
def test_images_are_only_shrunk(arguments: dict[str, int], shape: tuple[int, ...]) -> None:
    encoded = encode(JPEG, **arguments)
    assert read(encoded.data).shape == shape
    assert (encoded.data == JPEG) is (shape == (90, 120, 3))


def test_channel_sums_are_exact() -> None:
    for channels in (1, 3):
        pixels = picture(301, 203, channels)
        values = pixels.reshape(-1, channels)[:, ::-1].astype(np.int64)
        expected = (
            np.broadcast_to(values.sum(axis=0), 3),
            np.broadcast_to((values**2).sum(axis=0), 3),
        )
        assert [list(some) for some in channel_sums(pixels)] == [some.tolist() for some in expected]
