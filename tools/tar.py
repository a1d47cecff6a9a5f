"""Samples as USTAR, 512-byte headers made in bulk: Python's tarfile takes 40 us a member.

A sample is two members, in the order of their names: ``000000000.cls`` (the label, zero-padded
ASCII of equal width in the whole dataset, as DALI needs it) and ``000000000.jpg`` or ``.png``.
Only key, label and image determine the bytes: mtime 0, uid and gid 0, no names, mode 0644.
"""

import tarfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.dataset import sample_key

BLOCK_BYTES = 512
# Two blocks of zeros end a tar.
END = bytes(2 * BLOCK_BYTES)
# Header and content of the label, header of the image: what precedes an image in the tar.
PREFIX_BYTES = 3 * BLOCK_BYTES
# Limit of USTAR's size field: 11 octal digits.
MAX_MEMBER_BYTES = 8**11 - 1

_KEY_DIGITS = len(sample_key(0))
_SIZE = slice(124, 135)
_CHECKSUM = slice(148, 154)
_PADDING = [bytes(n) for n in range(BLOCK_BYTES)]

Integers = NDArray[np.int64]


def padded(size_bytes: Integers) -> Integers:
    """Sizes rounded up to whole tar blocks."""
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def sample_prefixes(
    keys: Integers, labels: Integers, sizes: Integers, components: Sequence[str], *, digits: int
) -> NDArray[np.uint8]:
    """What stands before each image in the tar.

    keys, labels, sizes: int64 of shape (n,); `components`: "jpg" or "png" for each; `digits`: width
    of a label. Returns uint8 of shape (n, PREFIX_BYTES).
    """
    out = np.zeros((len(keys), PREFIX_BYTES), np.uint8)
    out[:, :BLOCK_BYTES] = member_headers(keys, np.full(len(keys), digits), ["cls"] * len(keys))
    out[:, BLOCK_BYTES : BLOCK_BYTES + digits] = _digits(labels, digits, base=10)
    out[:, 2 * BLOCK_BYTES :] = member_headers(keys, sizes, components)
    return out


def member_headers(keys: Integers, sizes: Integers, components: Sequence[str]) -> NDArray[np.uint8]:
    """USTAR headers of members ``<key>.<component>``: uint8 of shape (n, 512)."""
    kinds = {name: number for number, name in enumerate(sorted(set(components)))}
    templates = np.stack([_template(name) for name in kinds])
    out = templates[[kinds[name] for name in components]]
    out[:, :_KEY_DIGITS] = _digits(keys, _KEY_DIGITS, base=10)
    out[:, _SIZE] = _digits(sizes, 11, base=8)
    # The sum of all bytes, the checksum's own 8 counting as spaces.
    out[:, 148:156] = ord(" ")
    out[:, _CHECKSUM] = _digits(out.sum(axis=1, dtype=np.int64), 6, base=8)
    out[:, 154] = 0
    return out


def index_lines(
    keys: Integers, offsets: Integers, sizes: Integers, components: Sequence[str], *, digits: int
) -> str:
    """Lines of DALI's v1.2 index; `offsets` are those of the images' bytes in their tar."""
    lines = []
    rows = zip(keys.tolist(), offsets.tolist(), sizes.tolist(), components, strict=True)
    for number, offset, size, component in rows:
        key = sample_key(number)
        label_offset = offset - 2 * BLOCK_BYTES
        lines.append(
            f"cls {label_offset} {digits} {key}.cls {component} {offset} {size} {key}.{component}\n"
        )
    return "".join(lines)


def padding(size_bytes: int) -> bytes:
    """Zeros that fill the last block of a member."""
    return _PADDING[-size_bytes % BLOCK_BYTES]


def _template(component: str) -> NDArray[np.uint8]:
    info = tarfile.TarInfo(f"{sample_key(0)}.{component}")
    return np.frombuffer(info.tobuf(tarfile.USTAR_FORMAT), np.uint8)


def _digits(values: Integers, width: int, *, base: int) -> NDArray[np.uint8]:
    """ASCII digits, zero-padded to `width`: uint8 of shape (n, width)."""
    powers = base ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (values[:, None] // powers % base + ord("0")).astype(np.uint8)
