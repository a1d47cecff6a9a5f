"""Measure on a few images what each way to store them costs, and choose one."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2

from pipeline.table import Table
from tools.images.codec import (
    Encoded,
    Pixels,
    UnsoundImageError,
    encode_pixels,
    keep_file,
    read_pixels,
)
from tools.images.decoding import decode, normalized, validate_header
from tools.images.encoding import SMALL_PX, Encoding
from tools.images.guards import StderrCapture
from tools.images.headers import Header

# Images are measured up to this many pixels, which takes one core half a second.
MAX_PIXELS = 5_000_000
# A lossy format has to save at least this factor of bytes.
WORTHWHILE_RATIO = 1.25
# Photographs are more than this many times as large as PNG than as JPEG; drawings are not.
PHOTOGRAPH_RATIO = 3.0
# Below this PSNR, JPEG artifacts are visible: in drawings, where edges ring, and in photographs,
# whose noise hides more: fine textures have 32 dB at quality 92.
MIN_DRAWING_DECIBEL, MIN_PHOTOGRAPH_DECIBEL = 35.0, 30.0
# PSNR of an image that JPEG doesn't change.
_MAX_PSNR_DECIBEL = 60.0
_QUALITIES = (90, 95)
_RESIZED_PX = 256


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Means over `images` images that are stored as `choice`: size in bytes, PSNR in decibel
    against the encoded pixels (None: lossless), and images per second that one core decodes."""

    choice: str
    images: int
    mean_bytes: float
    psnr_decibel: float | None
    images_per_second: float


@dataclass(frozen=True, kw_only=True)
class Costs:
    """`choices`: over all measured images. `as_png`, `as_jpeg`: over the images that `auto` decides
    about, large ones other than JPEG; None without such images. `formats`: their formats ("" for
    pixels). `kept_jpegs`, `other_jpegs`, `small`: numbers of images that `auto` stores as they are,
    re-encodes, and stores as PNG because they are small."""

    choices: tuple[Cost, ...]
    as_png: Cost | None
    as_jpeg: Cost | None
    formats: tuple[str, ...]
    kept_jpegs: int
    other_jpegs: int
    small: int


class _Picture(NamedTuple):
    """`data` and `header` of a file, None for pixels."""

    pixels: Pixels
    data: bytes | None = None
    header: Header | None = None

    @property
    def format(self) -> str:
        return self.header.format if self.header else ""

    def encode(self, encoding: Encoding) -> Encoded:
        if self.data is not None and self.header is not None and encoding.keeps(self.header):
            return keep_file(self.data, self.header, self.pixels)
        return encode_pixels(self.pixels, encoding, source_format=self.format)


def measure_costs(images: Iterable[bytes | Pixels], encoding: Encoding) -> Costs:
    """Costs over the first sound images of `images`: files, or pixels (h, w) or BGR (h, w, 3).

    Runs in a worker, since a file may kill its decoder.
    """
    pictures = list(_open(images, encoding))
    jpegs = [picture for picture in pictures if picture.format == "jpeg"]
    others = [picture for picture in pictures if picture.format != "jpeg"]
    large = [picture for picture in others if _is_large(picture.pixels, encoding)]
    kept = sum(encoding.keeps(picture.header) for picture in jpegs if picture.header)
    rows = [_cost(name, pictures, choice) for name, choice in _choices(encoding).items()]
    return Costs(
        choices=tuple(row for row in rows if row is not None),
        as_png=_cost("PNG", large, replace(encoding, mode="png")),
        as_jpeg=_cost(f"JPEG q{encoding.quality}", large, replace(encoding, mode="jpeg")),
        formats=tuple(sorted({picture.format for picture in large})),
        kept_jpegs=kept,
        other_jpegs=len(jpegs) - kept,
        small=len(others) - len(large),
    )


def _open(images: Iterable[bytes | Pixels], encoding: Encoding) -> Iterator[_Picture]:
    pixels = 0
    with StderrCapture() as stderr:
        for image in images:
            if pixels >= MAX_PIXELS:
                return
            try:
                picture = _decode(image, encoding, stderr)
            except UnsoundImageError:
                continue
            pixels += picture.pixels.shape[0] * picture.pixels.shape[1]
            yield picture


def _decode(image: bytes | Pixels, encoding: Encoding, stderr: StderrCapture) -> _Picture:
    if not isinstance(image, bytes):
        return _Picture(image)
    header = validate_header(image, encoding.max_pixels)
    raw = decode(image, header, stderr)
    return _Picture(normalized(raw, header, encoding.alpha, encoding.pixel_range), image, header)


def _is_large(pixels: Pixels, encoding: Encoding) -> bool:
    return min(encoding.size(pixels.shape[0], pixels.shape[1])) >= SMALL_PX


def _choices(encoding: Encoding) -> dict[str, Encoding]:
    choices = {"as it is": replace(encoding, mode="keep")}
    for quality in _QUALITIES:
        choices[f"JPEG q{quality}"] = replace(encoding, mode="jpeg", quality=quality)
    if encoding.shortest_side is None and encoding.longest_side is None:
        name = f"JPEG q{encoding.quality}, {_RESIZED_PX} px high or wide"
        choices[name] = replace(encoding, mode="jpeg", shortest_side=_RESIZED_PX)
    return choices


def _cost(choice: str, pictures: Sequence[_Picture], encoding: Encoding) -> Cost | None:
    sizes, psnrs, seconds = [], [], 0.0
    for picture in pictures:
        try:
            encoded = picture.encode(encoding)
        except UnsoundImageError:
            continue
        # CPU time: other processes may use the cores.
        began = time.thread_time()
        stored = read_pixels(encoded.data)
        seconds += time.thread_time() - began
        sizes.append(len(encoded.data))
        if encoded.lossy and encoded.pixels is not None:
            psnrs.append(min(cv2.PSNR(encoded.pixels, stored), _MAX_PSNR_DECIBEL))
    if not sizes:
        return None
    return Cost(
        choice=choice,
        images=len(sizes),
        mean_bytes=sum(sizes) / len(sizes),
        psnr_decibel=sum(psnrs) / len(psnrs) if psnrs else None,
        images_per_second=len(sizes) / max(seconds, 1e-9),
    )


def choose(costs: Costs, encoding: Encoding) -> tuple[Encoding, str]:
    """The choice of mode `auto` and its reasons in one sentence; another mode stays, without text.

    Bytes, PSNR and content decide, never the time: the same download must give the same shards on
    every machine.
    """
    if encoding.mode != "auto":
        return encoding, ""
    reasons = []
    if costs.as_png is not None and costs.as_jpeg is not None:
        component, reason = _choose_component(costs.as_png, costs.as_jpeg)
        encoding = replace(encoding, photographs=component)
        reasons.append(f"{_noun(costs.formats)} {reason}")
    if costs.kept_jpegs:
        reasons.append("baseline JPEGs are stored as they are")
    if costs.other_jpegs:
        total = costs.kept_jpegs + costs.other_jpegs
        reasons.append(f"{costs.other_jpegs} of {total} measured JPEGs are re-encoded")
    if costs.small:
        reasons.append(f"images of less than {SMALL_PX} px are stored as PNG")
    reason = "; ".join(reasons)
    return encoding, f"{reason[0].upper()}{reason[1:]}." if reason else ""


def _noun(formats: Sequence[str]) -> str:
    names = [name.upper() for name in formats if name]
    return f"{' and '.join(names)} images" if names else "Images"


def _choose_component(png: Cost, jpeg: Cost) -> tuple[str, str]:
    """The component for large images, "jpg" or "png", and the reason."""
    psnr, ratio = jpeg.psnr_decibel or _MAX_PSNR_DECIBEL, png.mean_bytes / jpeg.mean_bytes
    required = MIN_PHOTOGRAPH_DECIBEL if ratio > PHOTOGRAPH_RATIO else MIN_DRAWING_DECIBEL
    if ratio < WORTHWHILE_RATIO:
        share = jpeg.mean_bytes / png.mean_bytes
        return "png", f"are stored as PNG: {jpeg.choice} would take {share:.1f} of the bytes"
    if psnr < required:
        return "png", (
            f"are stored as PNG: {jpeg.choice} would take {ratio:.1f} times fewer bytes, but its "
            f"PSNR of {psnr:.1f} dB is below {required:.0f} dB"
        )
    speed = jpeg.images_per_second / png.images_per_second
    return "jpg", (
        f"become {jpeg.choice}: {ratio:.1f} times fewer bytes at {psnr:.1f} dB, and decoded "
        f"{speed:.1f} times as fast"
    )


def costs_table(costs: Costs) -> Table:
    """A table with a row for each choice."""
    count = max((cost.images for cost in costs.choices), default=0)
    rows = []
    for cost in costs.choices:
        psnr = "lossless" if cost.psnr_decibel is None else f"{cost.psnr_decibel:.1f} dB"
        rate = f"{cost.images_per_second:,.0f}"
        rows.append((cost.choice, f"{cost.mean_bytes:,.0f}", psnr, rate))
    return Table(
        title=f"Cost of each way to store the images, measured on {count} of them",
        headers=("stored as", "bytes/image", "PSNR", "images/s decoded per core"),
        rows=rows,
    )
