"""Settings of how images are stored, and the decisions that need no pixels."""

import math
from dataclasses import dataclass

from tools.images.headers import Header
from tools.images.pixel_range import PixelRange

# Below this shorter side, in pixels, `auto` stores PNG: a JPEG's 16 px chroma blocks would be a
# quarter of the picture, and its tables (600 bytes) a large part of the file.
SMALL_PX = 64
# Those at which libjpeg decodes: of the 8 x 8 cosine coefficients of a block it uses 1, 4 or 16.
_REDUCTIONS = (8, 4, 2)


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How images are stored.

    `mode`: auto, keep, jpeg or png. `quality` of JPEG. `longest_side`, `shortest_side`: limits in
    pixels. `alpha`: the background of transparent pixels, white or black, or drop for their own
    color. `max_pixels` of an image, `max_bytes` of a file. `verify`: by decode or header, for files
    stored as they are. `photographs`: the component that `auto` gives to large images other than
    JPEG, "jpg" or "png". `pixel_range` of images of 16 bits; None is 0 to 65535.
    """

    mode: str = "auto"
    quality: int = 92
    longest_side: int | None = None
    shortest_side: int | None = None
    alpha: str = "white"
    max_pixels: int = 100_000_000
    max_bytes: int = 2**28
    verify: str = "decode"
    photographs: str = "jpg"
    pixel_range: PixelRange | None = None

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width within the limits, in the same proportion; never larger than before."""
        if self.longest_side is None and self.shortest_side is None:
            return height, width
        scale = min(
            1.0,
            (self.longest_side or math.inf) / max(height, width),
            (self.shortest_side or math.inf) / min(height, width),
        )
        return max(1, round(height * scale)), max(1, round(width * scale))

    def reduction(self, header: Header) -> int:
        """The part of its sides at which a JPEG is decoded before it is shrunk: 8, 4 or 2 stand for
        an eighth, a quarter and a half, 1 for all other images."""
        if not header.cosine:
            return 1
        size = self.size(header.height, header.width)
        reductions = (n for n in _REDUCTIONS if _leaves_enough(header, n, size))
        return next(reductions, 1)

    def component(self, height: int, width: int, *, source_format: str) -> str:
        """The component of an image that is re-encoded: "jpg" or "png"."""
        if self.mode in ("jpeg", "png"):
            return "jpg" if self.mode == "jpeg" else "png"
        if self.mode == "keep":
            return "jpg" if source_format == "jpeg" else "png"
        if min(height, width) < SMALL_PX:
            return "png"
        return "jpg" if source_format == "jpeg" else self.photographs

    def keeps(self, header: Header) -> bool:
        """Whether the source's bytes are stored as they are."""
        fits = self.size(header.height, header.width) == (header.height, header.width)
        if not (header.plain and header.orientation == 1 and fits) or self.mode == "jpeg":
            return False
        if self.mode == "keep":
            return True
        component = self.component(header.height, header.width, source_format=header.format)
        return component == "png" if header.format == "png" else self.mode == "auto"


def _leaves_enough(header: Header, reduction: int, size: tuple[int, int]) -> bool:
    """Whether a JPEG that is decoded at a part of its sides still has the pixels of `size` (h, w).

    A quarter or an eighth must have exactly these, or twice as many on each side: a small step
    after a large one would cost 3 to 7 dB.
    """
    sides = ((header.height, size[0]), (header.width, size[1]))
    if all(side == reduction * stored for side, stored in sides):
        return True
    spare = 1 if reduction == 2 else 2
    # libjpeg rounds up.
    return all(-(-side // reduction) >= spare * stored for side, stored in sides)
