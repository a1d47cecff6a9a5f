"""The parts a download can be made of; each says what it is and how to ask for it."""

from collections.abc import Sequence

from tools.download.collect import FilePart
from tools.download.pixel_table import PixelTable

Part = FilePart | PixelTable


def is_divided(parts: Sequence[Part]) -> bool:
    """Whether the download comes in splits of its own."""
    return len(parts) > 1
