"""PNGs that ISA-L inflates: the same pixels, and damage stays what libpng says it is."""

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.image_files import picture, read, write
from tools.images import inflated_pngs
from tools.images.headers import PNG_START
from tools.images.inflated_pngs import without_deflate


@pytest.fixture(autouse=True)
def of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflated_pngs, "MIN_BYTES", 0)


def chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG_START)
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        yield name, data[at + 8 : at + 8 + length]
        at += 12 + length


def with_pixels(data: bytes, *deflated: bytes) -> bytes:
    """`data` with these IDAT chunks."""
    parts = [PNG_START]
    for name, content in chunks(data):
        if name != b"IDAT":
            parts.append(chunk(name, content))
        elif deflated:
            parts += [chunk(b"IDAT", piece) for piece in deflated]
            deflated = ()
    return b"".join(parts)


def deflated_of(data: bytes) -> bytes:
    return b"".join(content for name, content in chunks(data) if name == b"IDAT")


def decoded(data: bytes | bytearray) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


PNG = write(picture(90, 120), ".png")


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_the_pixels_are_the_same(level: int, channels: int, depth: type) -> None:
    pixels = picture(200, 201, channels).astype(depth) * (257 if depth is np.uint16 else 1)
    data = write(pixels, ".png", cv2.IMWRITE_PNG_COMPRESSION, level)
    stored = without_deflate(data)
    assert stored is not data and zlib.decompress(deflated_of(bytes(stored)))
    np.testing.assert_array_equal(read(bytes(stored)), read(data))


def test_pixels_in_many_chunks_are_one_afterwards() -> None:
    deflated = deflated_of(PNG)
    data = with_pixels(PNG, *(deflated[n : n + 50] for n in range(0, len(deflated), 50)))
    stored = bytes(without_deflate(data))
    assert [name for name, _ in chunks(stored)].count(b"IDAT") == 1
    np.testing.assert_array_equal(read(stored), read(PNG))


def windowed(data: bytes, bits: int) -> bytes:
    """`data` deflated again with a window of 2 ** `bits` bytes in its header."""
    packer = zlib.compressobj(9, wbits=bits)
    return with_pixels(data, packer.compress(zlib.decompress(deflated_of(data))) + packer.flush())


def test_what_is_unusual_is_left_to_libpng() -> None:
    deflated = deflated_of(PNG)
    header = PNG[:16] + struct.pack(">IIBBBBB", 120, 90, 8, 2, 0, 0, 1)
    interlaced = header + PNG[29:]
    unusual = (
        b"",
        PNG[:-12],
        PNG[:60],
        interlaced,
        windowed(PNG, 9),
        with_pixels(PNG, deflated + b"more"),
        with_pixels(PNG, deflated[:-4] + b"\0\0\0\0"),
        with_pixels(PNG, deflated[:-9]),
        with_pixels(PNG, zlib.compress(zlib.decompress(deflated)[:-1])),
        with_pixels(PNG, zlib.compress(zlib.decompress(deflated) + b"\0")),
        with_pixels(PNG, b"\x78\xbb" + deflated[2:]),
        with_pixels(PNG, deflated).replace(deflated[:9], deflated[:8] + b"?"),
    )
    for data in unusual:
        assert without_deflate(data) is data
    # A small window is enough for a small image.
    small = windowed(write(picture(9, 9), ".png"), 9)
    assert without_deflate(small) is not small


@given(at=st.integers(0, 10**6), value=st.integers(0, 255), sealed=st.booleans())
def test_damage_has_the_same_verdict(at: int, value: int, sealed: bool) -> None:
    """Also with right checksums of the chunks, so that only the pixels tell."""
    source = deflated_of(PNG) if sealed else PNG
    at %= len(source)
    damaged = source[:at] + bytes([value]) + source[at + 1 :]
    data = with_pixels(PNG, damaged) if sealed else damaged
    before, after = decoded(data), decoded(without_deflate(data))
    assert (before is None) == (after is None)
    if before is not None and after is not None:
        np.testing.assert_array_equal(before, after)
