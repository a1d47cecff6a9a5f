"""How much it changes images that tools/shard decodes them at a part of their size."""

from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.sharding.bare_programs import QUALITY, SHORTEST_PX, shrink
from tools.images.codec import Encoded, encode_file, read_pixels
from tools.images.encoding import Encoding
from tools.images.guards import StderrCapture


@dataclass(frozen=True, kw_only=True)
class Psnr:
    """Against images that are decoded in full and then shrunk, in decibel: the mean and the lowest
    over all images before they are encoded (`reduced`), and the means of what JPEG changes then
    (`encoded`)."""

    reduced_decibel: float
    lowest_decibel: float
    encoded_decibel: float

    def facts(self) -> dict[str, object]:
        return {"psnr": asdict(self)}

    def __str__(self) -> str:
        return (
            f"Decoded at a part of the size: {self.reduced_decibel:.1f} dB against the full way, "
            f"at least {self.lowest_decibel:.1f} dB. What JPEG q{QUALITY} changes then: "
            f"{self.encoded_decibel:.1f} dB."
        )


def psnr_of_shrinking(folder: Path) -> Psnr:
    """Of the JPEGs in `folder`."""
    paths = sorted(folder.iterdir())
    images = [_shrunk(path.read_bytes()) for path in paths]
    reduced, encoded = [], []
    for path, image in zip(paths, images, strict=True):
        assert image.pixels is not None
        reduced.append(cv2.PSNR(shrink(str(path)), image.pixels))
        encoded.append(cv2.PSNR(image.pixels, read_pixels(image.data)))
    return Psnr(
        reduced_decibel=float(np.mean(reduced)),
        lowest_decibel=float(np.min(reduced)),
        encoded_decibel=float(np.mean(encoded)),
    )


def _shrunk(data: bytes) -> Encoded:
    encoding = Encoding(mode="jpeg", quality=QUALITY, shortest_side=SHORTEST_PX)
    with StderrCapture() as stderr:
        return encode_file(data, encoding, stderr)
