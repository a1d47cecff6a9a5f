"""One image: what its header says, whether it is sound, what is stored of it."""

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pillow_reading import pillow_reading, written

from tools.images.codec import (
    Encoded,
    Pixels,
    UnsoundImageError,
    channel_sums,
    encode_file,
    psnr_decibel,
)
from tools.images.complaints import Complaints
from tools.images.decoding import eight_bit, flatten, upright
from tools.images.encoding import Encoding
from tools.images.formats import identify
from tools.images.headers import read_header
from tools.images.orientation import exif_orientation, xmp_orientation
from tools.images.strangers import describe_stranger


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> Pixels:
    """Smooth noise: it has edges, and JPEG doesn't ruin it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, channels), np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(pixels if channels > 1 else pixels.reshape(height, width), np.uint8)


def write(pixels: np.ndarray, suffix: str, *arguments: int) -> bytes:
    return cv2.imencode(suffix, pixels, arguments)[1].tobytes()


def read(data: bytes) -> Pixels:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


def encode(data: bytes, *, in_full: bool = True, **arguments: object) -> Encoded:
    with Complaints() as complaints:
        return encode_file(data, Encoding(**arguments), complaints, in_full=in_full)  # type: ignore[arg-type]


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    tiff = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def with_precision(jpeg: bytes, bits: int) -> bytes:
    place = jpeg.index(b"\xff\xc0") + 4
    return jpeg[:place] + bytes([bits]) + jpeg[place + 1 :]


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
def test_no_header_is_beyond_reading(beginning: bytes, length: int, rest: bytes) -> None:
    for data in (beginning[:length] + rest + beginning[length + len(rest) :], rest):
        name, header = identify(data)
        assert name or describe_stranger(data)
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
def test_what_is_stored(data: bytes, mode: str, component: str, kept: bool) -> None:
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


def test_every_16_bit_value_is_scaled() -> None:
    values = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(eight_bit(values), np.round(values / 257))


@pytest.mark.parametrize(("alpha", "behind"), [("white", 255), ("black", 0), ("drop", 100)])
def test_what_lies_behind_transparency(alpha: str, behind: int) -> None:
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


def test_alpha_in_stripes_is_alpha_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clear = picture(301, 203, 4)
    whole = [flatten(clear, "white", kind) for kind in ("straight", "premultiplied", "unused")]
    monkeypatch.setattr("tools.images.decoding._STRIPE_PIXELS", 1000)
    for kind, wanted in zip(("straight", "premultiplied", "unused"), whole, strict=True):
        np.testing.assert_array_equal(flatten(clear, "white", kind), wanted)


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
def test_formats_and_modes_as_pillow_reads_them(format: str, mode: str) -> None:
    assert_as_pillow(written(MODES[mode], format, **LOSSLESS.get(format, {})))


@pytest.mark.parametrize(("format", "mode"), [("TIFF", "LA"), ("JPEG2000", "LA")])
def test_what_opencv_would_read_wrongly_is_refused(format: str, mode: str) -> None:
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
def test_the_first_frame_counts(format: str) -> None:
    frames = [Image.fromarray(picture(40, 48, seed=seed)) for seed in range(3)]
    arguments = {"save_all": True, "append_images": frames[1:], **LOSSLESS.get(format, {})}
    assert_as_pillow(written(frames[0], format, **arguments))


def test_xmp_turns_where_exif_is_silent() -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert_as_pillow(written(RGB, "JPEG", xmp=xmp))
    assert_as_pillow(written(RGB, "WEBP", xmp=xmp, lossless=True))


def assert_as_pillow(data: bytes) -> None:
    pixels = encode(data, mode="png").pixels
    assert pixels is not None
    rgb = np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels[:, :, ::-1]
    wanted = pillow_reading(data)
    assert rgb.shape == wanted.shape
    # CMYK is rounded otherwise.
    assert np.abs(rgb.astype(int) - wanted).max() <= 2


@pytest.mark.parametrize("sampling", [444, 422, 420, 440, 411])
def test_usual_chroma_is_kept(sampling: int) -> None:
    factor = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}")
    data = write(picture(90, 120), ".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor)
    assert encode(data).data == data
    place = data.index(b"\xff\xc0") + 11
    odd = data[:place] + b"\x13" + data[place + 1 :]
    header = read_header(odd)
    assert header is not None and not header.plain


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


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n <!DOCTYPE html><title>404</title>", "an HTML page, not an image"),
        (b'<?xml version="1.0"?>\n<svg width="4"/>', "an SVG: rasterise it first"),
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
def test_verification_without_pixels(data: bytes) -> None:
    middle = len(data) // 2
    damaged = data[:middle] + (b"\xff\xd9" if data == JPEG else bytes(99)) + data[middle + 99 :]
    for verify in ("decode", "header"):
        encoded = encode(data, in_full=False, mode="keep", verify=verify)
        assert encoded == (encoded.component, data, 90, 120, None, False)
        with pytest.raises(UnsoundImageError, match="cut off"):
            encode(data[:middle], in_full=False, mode="keep", verify=verify)
        if verify == "header":
            encode(damaged, in_full=False, mode="keep", verify=verify)
        else:
            with pytest.raises(UnsoundImageError, match="damaged"):
                encode(damaged, in_full=False, mode="keep", verify=verify)
    assert encode(data, in_full=False, mode="png" if data == JPEG else "jpeg").pixels is not None


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
