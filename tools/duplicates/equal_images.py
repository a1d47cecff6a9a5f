"""Groups of stored images that are equal in all pixels."""

import hashlib
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from tools.duplicates.keys import Keys, equal_runs
from tools.duplicates.threads import in_threads


def equal_groups(
    keys: Keys, read: Callable[[int], bytes], digest: Callable[[bytes], bytes]
) -> Iterator[list[int]]:
    """The numbers of equal images, ascending, a list for each image that occurs again.

    Images of equal `keys` are compared: those whose bytes, which `read` gives in any thread, differ
    by the `digest` of their pixels, which is b"" for an image that can't be decoded.
    """

    def sha256(number: int) -> bytes:
        return hashlib.sha256(read(number)).digest()

    runs = [run.tolist() for run in equal_runs(keys)]
    digests = in_threads(sha256, (number for run in runs for number in run))
    for run in runs:
        by_bytes = _grouped(run, digests)
        if len(by_bytes) > 1:
            examples = {key: digest(read(numbers[0])) or key for key, numbers in by_bytes.items()}
            by_pixels: dict[bytes, list[int]] = {}
            for key, numbers in by_bytes.items():
                by_pixels.setdefault(examples[key], []).extend(numbers)
            by_bytes = by_pixels
        yield from (sorted(group) for group in by_bytes.values() if len(group) > 1)


def _grouped(numbers: Iterable[int], digests: Iterator[bytes]) -> dict[bytes, list[int]]:
    groups: dict[bytes, list[int]] = {}
    for number in numbers:
        groups.setdefault(next(digests), []).append(number)
    return groups


def pixels_digest(data: bytes) -> bytes:
    """SHA-256 of the size and the RGB pixels of a stored image, b"" if it can't be decoded."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return b""
    if pixels is None:
        return b""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
