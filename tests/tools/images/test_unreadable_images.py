"""Images that are cut off, damaged or of another kind are rejected with the reason."""

import cv2
import numpy as np
import pytest

from tests.helpers.image_files import (
    JPEG,
    PNG,
    PROGRESSIVE,
    SMALL_PNG,
    encode,
    picture,
    with_precision,
    write,
)
from tools.images.codec import UnsoundImageError
from tools.images.guards import StderrCapture


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


def test_a_png_with_a_wrong_checksum_is_unsound() -> None:
    broken = bytearray(PNG)
    broken[len(PNG) // 2] ^= 0xFF
    with pytest.raises(UnsoundImageError, match="PNG is damaged"):
        encode(bytes(broken))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n <!DOCTYPE html><title>404</title>", "an HTML page, not an image"),
        (b'<?xml version="1.0"?>\n<svg width="4"/>', "an SVG: render it as PNG first"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"PK\x03\x04", "a zip"),
        (b"\0\0\0\x18ftypheic", "a HEIC: convert it to JPEG or PNG first"),
        (b"\0\0\0\x18ftypmp42", "a video"),
        (bytes(128) + b"DICM", "a DICOM"),
        (bytes(5000), "nothing but zero bytes"),
        ("id,label\n1,\u00e9\n".encode(), "a text file, it begins with 'id,label"),
        (b"\x01\x02\x03\x04", r"not an image .* with the bytes 01 02 03 04\)"),
        (PNG[:20], "the PNG is damaged or cut off within its header"),
        (JPEG[:20], "the JPEG is damaged or cut off within its header"),
        (b"#?RADIANCE\n", "floating-point"),
        (write(picture(9, 9).astype(np.float32), ".tiff"), "a TIFF of floating-point pixels"),
        (with_precision(JPEG, 12), "a JPEG of 12 bits a sample"),
    ],
)
def test_reasons(data: bytes, reason: str) -> None:
    with pytest.raises(UnsoundImageError, match=reason):
        encode(data)


@pytest.mark.parametrize("data", [JPEG, PNG])
def test_verification_computes_few_pixels(data: bytes) -> None:
    middle = len(data) // 2
    damaged = data[:middle] + (b"\xff\xd9" if data == JPEG else bytes(99)) + data[middle + 99 :]
    for verify in ("decode", "header"):
        encoded = encode(data, in_full=False, mode="keep", verify=verify)
        assert encoded[:4] == (encoded.component, data, 90, 120) and not encoded.lossy
        # Of a JPEG only the coarsest pixels are computed.
        assert (encoded.pixels is not None) == (data == PNG and verify == "decode")
        with pytest.raises(UnsoundImageError, match="cut off"):
            encode(data[:middle], in_full=False, mode="keep", verify=verify)
        if verify == "header":
            encode(damaged, in_full=False, mode="keep", verify=verify)
        else:
            with pytest.raises(UnsoundImageError, match="damaged"):
                encode(damaged, in_full=False, mode="keep", verify=verify)
    assert encode(data, in_full=False, mode="png" if data == JPEG else "jpeg").pixels is not None


def test_captured_text_is_read_once(capfd: pytest.CaptureFixture[str]) -> None:
    with StderrCapture() as stderr:
        cv2.imdecode(np.frombuffer(JPEG[: len(JPEG) // 2] + b"\xff\xd9", np.uint8), 1)
        assert "premature end" in stderr.read()
        assert stderr.read() == ""
    assert capfd.readouterr().err == ""
