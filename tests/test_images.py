"""One image: what its header says, whether it is sound, what is stored of it."""

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tools.complaints import Complaints
from tools.headers import exif_orientation, read_header
from tools.images import (
    Encoded,
    Encoding,
    Pixels,
    UnsoundImageError,
    channel_sums,
    encode_file,
    psnr_decibel,
    upright,
)


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> Pixels:
    """Smooth noise: it has edges, and JPEG doesn't ruin it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, channels), np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(pixels if channels > 1 else pixels.reshape(height, width), np.uint8)


def write(pixels: np.ndarray, suffix: str, *arguments: int) -> bytes:
    return cv2.imencode(suffix, pixels, arguments)[1].tobytes()


def read(data: bytes) -> Pixels:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


def encode(data: bytes, **arguments: object) -> Encoded:
    with Complaints() as complaints:
        return encode_file(data, Encoding(**arguments), complaints)  # type: ignore[arg-type]


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    tiff = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


JPEG = write(picture(90, 120), ".jpg")
PNG = write(picture(90, 120), ".png")
SMALL_PNG = write(picture(32, 32), ".png")
GRAY_PNG = write(picture(32, 32, 1), ".png")
PROGRESSIVE = write(picture(90, 120), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


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
    assert exif_orientation(b"II*\0\xff\xff\xff\xff") == 1


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
def test_what_is_stored(data: bytes, mode: str, component: str, kept: bool) -> None:
    encoded = encode(data, mode=mode)
    assert encoded.component == component
    assert (encoded.data == data) is kept
    header = read_header(encoded.data)
    assert header is not None and header.plain and header.orientation == 1
    stored = read(encoded.data)
    if not encoded.lossy:
        np.testing.assert_array_equal(stored, encoded.pixels)
    else:
        assert psnr_decibel(encoded) > 28


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_undone_as_opencv_does(orientation: int) -> None:
    data = with_orientation(JPEG, orientation)
    wanted = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(encode(data, mode="png").pixels, wanted)
    assert (encode(data).data == data) is (orientation == 1)


def test_upright_of_an_asymmetric_letter() -> None:
    letter = np.array([[1, 2], [3, 4], [5, 6]], np.uint8)
    assert upright(letter, 6).tolist() == [[5, 3, 1], [6, 4, 2]]
    assert upright(letter, 8).tolist() == [[2, 4, 6], [1, 3, 5]]


def test_sixteen_bits_and_alpha() -> None:
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    pixels = encode(write(ramp, ".png")).pixels
    assert pixels.dtype == np.uint8 and pixels[0, 0] == 0 and pixels[-1, -1] == 255
    clear = picture(32, 32, 4)
    clear[:16, :, 3], clear[16:, :, 3] = 0, 255
    flat = encode(write(clear, ".png")).pixels
    assert np.all(flat[:16] == 255)
    np.testing.assert_array_equal(flat[16:], clear[16:, :, :3])


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


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, PNG, SMALL_PNG])
@pytest.mark.parametrize("mode", ["auto", "keep", "jpeg"])
def test_cut_images_are_unsound(data: bytes, mode: str) -> None:
    for length in (0, 1, 10, len(data) // 3, len(data) // 2, len(data) - 100, len(data) - 1):
        with pytest.raises(UnsoundImageError):
            encode(data[:length], mode=mode)


def test_damage_inside_a_jpeg_is_seen() -> None:
    middle = len(JPEG) // 2
    with pytest.raises(UnsoundImageError, match="damaged: premature end"):
        encode(JPEG[:middle] + b"\xff\xd9")
    with pytest.raises(UnsoundImageError):
        encode(JPEG[:middle] + bytes(200) + JPEG[middle + 900 :])


def test_a_png_of_another_checksum_is_unsound() -> None:
    broken = bytearray(PNG)
    broken[len(PNG) // 2] ^= 0xFF
    with pytest.raises(UnsoundImageError, match="PNG is damaged"):
        encode(bytes(broken))


def test_other_bytes_are_no_image() -> None:
    with pytest.raises(UnsoundImageError, match="not an image"):
        encode(b"<html>404</html>")


def test_channel_sums_are_exact() -> None:
    for channels in (1, 3):
        pixels = picture(301, 203, channels)
        values = pixels.reshape(-1, channels)[:, ::-1].astype(np.int64)
        wanted = np.broadcast_to(values.sum(axis=0), 3), np.broadcast_to((values**2).sum(axis=0), 3)
        assert [list(some) for some in channel_sums(pixels)] == [some.tolist() for some in wanted]


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


def test_real_exif_files_end_upright(shared_data: Callable[[str], Path]) -> None:
    for path in sorted((shared_data("decoder_edge_dev") / "exif_orientation").glob("*_[68].jpg")):
        encoded = encode(path.read_bytes(), longest_side=90)
        shape = (60, 90, 3) if path.name.startswith("Landscape") else (90, 60, 3)
        assert encoded.pixels.shape == shape, path.name


def test_complaints_are_taken_once(capfd: pytest.CaptureFixture[str]) -> None:
    with Complaints() as complaints:
        cv2.imdecode(np.frombuffer(JPEG[: len(JPEG) // 2] + b"\xff\xd9", np.uint8), 1)
        assert "premature end" in complaints.take()
        assert complaints.take() == ""
    assert capfd.readouterr().err == ""
