"""What is stored of an image: settings and the decisions that need no pixels."""

from dataclasses import dataclass

from tools.images.headers import Header

# Below this, in pixels of the shorter side, `auto` keeps PNG: a JPEG's 16 px chroma blocks then are
# a quarter of the picture, and its tables (600 bytes) a good part of the file.
SMALL_PX = 64


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How to store: `mode` auto, keep, jpeg or png; JPEG quality; limits of the sides in pixels;
    what lies behind transparent pixels, white, black or drop (their own color); limits of an image
    in pixels and of a file in bytes; `verify`: by decode or header, of what is stored as it was;
    `photographs`: what `auto` makes of
    images that are no JPEG and not small, "jpg" or "png"."""

    mode: str = "auto"
    quality: int = 92
    longest_side: int | None = None
    shortest_side: int | None = None
    alpha: str = "white"
    max_pixels: int = 100_000_000
    max_bytes: int = 2**28
    verify: str = "decode"
    photographs: str = "jpg"

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width within the limits, of the same shape; never larger than before."""
        if self.longest_side is None and self.shortest_side is None:
            return height, width
        scale = 1.0
        if self.longest_side is not None:
            scale = min(scale, self.longest_side / max(height, width))
        if self.shortest_side is not None:
            scale = min(scale, self.shortest_side / min(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))

    def component(self, height: int, width: int, *, source_format: str) -> str:
        """What an image that is encoded anew becomes: "jpg" or "png"."""
        if self.mode in ("jpeg", "png"):
            return "jpg" if self.mode == "jpeg" else "png"
        if self.mode == "keep":
            return "jpg" if source_format == "jpeg" else "png"
        if min(height, width) < SMALL_PX:
            return "png"
        return "jpg" if source_format == "jpeg" else self.photographs

    def keeps(self, header: Header) -> bool:
        """Whether the source's own bytes are what to store."""
        fits = self.size(header.height, header.width) == (header.height, header.width)
        if not (header.plain and header.orientation == 1 and fits) or self.mode == "jpeg":
            return False
        if self.mode == "keep":
            return True
        component = self.component(header.height, header.width, source_format=header.format)
        return component == "png" if header.format == "png" else self.mode == "auto"
