"""JPEGs that are shrunk to half or less are decoded at a part of their size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.data import make_shards
from tests.helpers.image_files import encode, picture, read, with_orientation, write
from tools.images.codec import UnsoundImageError
from tools.images.encoding import Encoding
from tools.images.headers import Header, read_header
from tools.images.kept_memory import keep_freed_memory

SIDE = st.integers(1, 5000)
LIMIT = st.none() | st.integers(1, 2000)
JPEG = write(picture(600, 801), ".jpg")


def header_of(data: bytes) -> Header:
    header = read_header(data)
    assert header is not None
    return header


@given(height=SIDE, width=SIDE, shortest=LIMIT, longest=LIMIT)
def test_a_reduced_image_has_the_pixels_that_are_stored(
    height: int, width: int, shortest: int | None, longest: int | None
) -> None:
    encoding = Encoding(mode="jpeg", shortest_side=shortest, longest_side=longest)
    header = Header(format="jpeg", height=height, width=width, cosine=3)
    reduction = encoding.reduction(header)
    stored = encoding.size(height, width)
    assert reduction in (1, 2, 4, 8)
    decoded = -(-height // reduction), -(-width // reduction)
    assert decoded[0] >= stored[0] and decoded[1] >= stored[1]
    # Half or less is always decoded at a part.
    if reduction == 1:
        assert 2 * stored[0] > height or 2 * stored[1] > width
    if reduction > 2 and decoded != stored:
        assert decoded[0] >= 2 * stored[0] and decoded[1] >= 2 * stored[1]
    assert encoding.reduction(header._replace(format="png", cosine=0)) == 1
    rotated = header._replace(height=width, width=height)
    assert encoding.reduction(rotated) == reduction


@pytest.mark.parametrize(
    ("shortest", "reduction"),
    [(600, 1), (301, 1), (300, 2), (256, 2), (150, 4), (140, 2), (75, 8), (70, 4), (37, 8), (1, 8)],
)
def test_the_part_at_which_a_jpeg_is_decoded(shortest: int, reduction: int) -> None:
    header = header_of(write(picture(600, 800), ".jpg"))
    assert Encoding(mode="jpeg", shortest_side=shortest).reduction(header) == reduction


def test_other_images_are_decoded_in_full() -> None:
    encoding = Encoding(mode="jpeg", shortest_side=32)
    assert encoding.reduction(header_of(write(picture(600, 800), ".png"))) == 1
    frame = JPEG.index(b"\xff\xc0")
    lossless = JPEG[:frame] + b"\xff\xc3" + JPEG[frame + 2 :]
    assert encoding.reduction(header_of(lossless)) == 1
    assert Encoding(mode="jpeg").reduction(header_of(JPEG)) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_orientation_and_channels_are_those_of_the_full_way(
    orientation: int, channels: int
) -> None:
    pixels = picture(600, 801, channels)
    data = with_orientation(write(pixels, ".jpg"), orientation)
    stored = encode(data, mode="jpeg", shortest_side=150)
    size = (150, 200) if orientation < 5 else (200, 150)
    assert stored.pixels is not None and stored.pixels.ndim == (2 if channels == 1 else 3)
    assert (stored.height, stored.width) == size == stored.pixels.shape[:2]
    upright = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
    )
    full = cv2.resize(upright, size[::-1], interpolation=cv2.INTER_AREA)
    assert cv2.PSNR(stored.pixels, full) > 40


def test_cmyk_is_reduced_as_it_is_decoded(tmp_path: Path) -> None:
    inks = Image.fromarray(picture(600, 800)).convert("CMYK")
    inks.save(tmp_path / "inks.jpg", quality=95)
    data = (tmp_path / "inks.jpg").read_bytes()
    assert Encoding(mode="jpeg", shortest_side=150).reduction(header_of(data)) == 4
    stored = encode(data, mode="jpeg", shortest_side=150)
    full = cv2.resize(read(data), (200, 150), interpolation=cv2.INTER_AREA)
    assert stored.pixels is not None and cv2.PSNR(stored.pixels, full) > 40


@pytest.mark.parametrize("shortest", [300, 205, 150, 120, 75, 40])
def test_a_reduced_image_looks_as_the_full_way(shortest: int) -> None:
    """Noise of every frequency up to a quarter of the pixels, harder than a photograph."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    smooth = cv2.GaussianBlur(cv2.resize(noise, (800, 600)), (0, 0), 2)
    data = write(np.asarray(smooth), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95)
    reduced = encode(data, mode="jpeg", shortest_side=shortest)
    size = (reduced.width, reduced.height)
    full = cv2.resize(read(data), size, interpolation=cv2.INTER_AREA)
    assert reduced.pixels is not None and cv2.PSNR(reduced.pixels, full) > 33


@pytest.mark.parametrize("shortest", [300, 150, 75])
def test_damage_is_found_at_every_size(shortest: int) -> None:
    scan = header_of(JPEG).content_offset
    for at in range(scan, len(JPEG) - 2, len(JPEG) // 60):
        damaged = JPEG[:at] + bytes([JPEG[at] ^ 0x55]) + JPEG[at + 1 :]
        cut = JPEG[:at]
        for data in (damaged, cut):
            verdicts = []
            for side in (shortest, 600):
                try:
                    encode(data, mode="jpeg", shortest_side=side)
                    verdicts.append("")
                except UnsoundImageError as error:
                    verdicts.append(str(error))
            assert verdicts[0] == verdicts[1]


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    for number in range(24):
        folder = tmp_path / "src" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = picture(300 + 7 * number, 400, seed=number)
        (folder / f"{number}.jpg").write_bytes(write(pixels, ".jpg"))
    arguments = ("--encode", "jpeg", "--shortest-side", "64", "--shard-size", "0.05")
    folders = [
        make_shards(tmp_path / "src", tmp_path / name, *arguments, "--workers", count)
        for name, count in (("one", "1"), ("two", "2"))
    ]
    one, two = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert one == two and sum(name.endswith(".tar") for name in one) > 1


def test_memory_is_kept_where_the_system_can() -> None:
    keep_freed_memory()
    encode(JPEG, mode="jpeg", shortest_side=75)
