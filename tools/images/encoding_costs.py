"""What each way of storing costs on a few images of the download, before one is chosen."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
from rich.table import Table

from tools.images.codec import (
    Encoded,
    Pixels,
    UnsoundImageError,
    encode_pixels,
    read_pixels,
    untouched,
)
from tools.images.decoding import decode, normalized, validate_header
from tools.images.encoding import SMALL_PX, Encoding
from tools.images.headers import Header
from tools.images.stderr_capture import StderrCapture

# Images are measured until so many pixels are spent, which takes half a second of one core.
MAX_PIXELS = 5_000_000
# A loss has to bring so many times fewer bytes at least.
WORTHWHILE_RATIO = 1.25
# A PNG of a photograph is more than so many times as large as its JPEG; one of a drawing isn't.
PHOTOGRAPH_RATIO = 3.0
# Below this JPEG is seen in a drawing, where edges ring, and in a photograph, whose noise hides
# more: fine textures have 32 dB at quality 92.
MIN_DRAWING_DECIBEL, MIN_PHOTOGRAPH_DECIBEL = 35.0, 30.0
# A picture that JPEG doesn't change has no noise to measure; it counts as this.
_MAX_PSNR_DECIBEL = 60.0
_QUALITIES = (90, 95)
_RESIZED_PX = 256


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Means over `images` images stored as `choice` says: their size in bytes, PSNR in decibel
    against the pixels that were encoded (None: nothing is lost), images a second that one core
    decodes."""

    choice: str
    images: int
    mean_bytes: float
    psnr_decibel: float | None
    images_per_second: float


@dataclass(frozen=True, kw_only=True)
class Costs:
    """`choices`: over all measured images. `as_png`, `as_jpeg`: over those that `auto` has to
    decide about, which are large and no JPEG; None where there are none. `formats`: the formats of
    those ("" for pixels). `kept_jpegs`, `other_jpegs`, `small`: how many of the measured `auto`
    stores untouched, encodes anew, makes a PNG for their size.
    """

    choices: tuple[Cost, ...]
    as_png: Cost | None
    as_jpeg: Cost | None
    formats: tuple[str, ...]
    kept_jpegs: int
    other_jpegs: int
    small: int


class _Picture(NamedTuple):
    """`data` and `header` of a file, None for pixels."""

    data: bytes | None
    header: Header | None
    pixels: Pixels

    @property
    def format(self) -> str:
        return self.header.format if self.header else ""

    def stored(self, encoding: Encoding) -> Encoded:
        if self.data is not None and self.header is not None and encoding.keeps(self.header):
            return untouched(self.data, self.header, self.pixels)
        return encode_pixels(self.pixels, encoding, source_format=self.format)


def cost_of(images: Iterable[bytes | Pixels], encoding: Encoding) -> Costs:
    """Costs over the first sound images of `images`: files, or pixels (h, w) or BGR (h, w, 3).

    Runs in a worker: a file that kills its decoder must not end the tool.
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
    left_pixels = MAX_PIXELS
    with StderrCapture() as stderr:
        for image in images:
            if left_pixels <= 0:
                return
            picture = _Picture(None, None, image) if not isinstance(image, bytes) else None
            if isinstance(image, bytes):
                try:
                    header = validate_header(image, encoding.max_pixels)
                    raw = decode(image, header, stderr)
                    picture = _Picture(image, header, normalized(raw, header, encoding.alpha))
                except UnsoundImageError:
                    continue
            if picture is not None:
                left_pixels -= picture.pixels.shape[0] * picture.pixels.shape[1]
                yield picture


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
            encoded = picture.stored(encoding)
        except UnsoundImageError:
            continue
        # Not wall time: other processes may have the cores just now.
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
    """What `auto` settles on, and why in one sentence; another mode stays, with an empty text.

    Bytes, PSNR and content decide, never the time: the same download must give the same shards on
    every machine.
    """
    if encoding.mode != "auto":
        return encoding, ""
    reasons = []
    if costs.as_png is not None and costs.as_jpeg is not None:
        component, reason = _settle(costs.as_png, costs.as_jpeg)
        encoding = replace(encoding, photographs=component)
        reasons.append(f"{_noun(costs.formats)} {reason}")
    if costs.kept_jpegs:
        reasons.append("baseline JPEGs are stored untouched")
    if costs.other_jpegs:
        total = costs.kept_jpegs + costs.other_jpegs
        reasons.append(f"{costs.other_jpegs} of {total} JPEGs looked at are encoded anew")
    if costs.small:
        reasons.append(f"images of less than {SMALL_PX} px are stored as PNG")
    reason = "; ".join(reasons)
    return encoding, f"{reason[0].upper()}{reason[1:]}." if reason else ""


def _noun(formats: Sequence[str]) -> str:
    names = [name.upper() for name in formats if name]
    return f"{' and '.join(names)} images" if names else "Images"


def _settle(png: Cost, jpeg: Cost) -> tuple[str, str]:
    """ "jpg" or "png", and why."""
    psnr, ratio = jpeg.psnr_decibel or _MAX_PSNR_DECIBEL, png.mean_bytes / jpeg.mean_bytes
    wanted = MIN_PHOTOGRAPH_DECIBEL if ratio > PHOTOGRAPH_RATIO else MIN_DRAWING_DECIBEL
    if ratio < WORTHWHILE_RATIO:
        share = jpeg.mean_bytes / png.mean_bytes
        return "png", f"are stored as PNG: {jpeg.choice} would take {share:.1f} of the bytes"
    if psnr < wanted:
        return "png", (
            f"are stored as PNG: {jpeg.choice} would take {ratio:.1f} times fewer bytes, but "
            f"{psnr:.1f} dB are less than {wanted:.0f}"
        )
    speed = jpeg.images_per_second / png.images_per_second
    return "jpg", (
        f"become {jpeg.choice}: {ratio:.1f} times fewer bytes at {psnr:.1f} dB, and decoded "
        f"{speed:.1f} times as fast"
    )


def costs_table(costs: Costs) -> Table:
    """For a terminal: a row a choice."""
    count = max((cost.images for cost in costs.choices), default=0)
    table = Table(title=f"What storing costs, on {count} of the images", title_justify="left")
    table.add_column("stored as")
    for name in ("bytes an image", "PSNR", "images/s a core decodes"):
        table.add_column(name, justify="right")
    for cost in costs.choices:
        psnr = "lossless" if cost.psnr_decibel is None else f"{cost.psnr_decibel:.1f} dB"
        rate = f"{cost.images_per_second:,.0f}"
        table.add_row(cost.choice, f"{cost.mean_bytes:,.0f}", psnr, rate)
    return table
