"""Samples as USTAR members, with headers made in bulk: Python's tarfile takes 40 us per member.

A sample is two members: its target, ``000000000.cls`` (the label, zero-padded ASCII of equal width
in the whole dataset, as DALI requires), ``.target.npy`` or ``.mask.png``; then ``000000000.jpg`` or
``.png``. A sample without a label has only the image. Only key, target and image determine the
bytes: mtime, uid and gid are 0, names empty, the mode is 0644.
"""

import io
import tarfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.storage.manifest import sample_key

BLOCK_BYTES = 512
# Two blocks of zeros end a tar.
END = bytes(2 * BLOCK_BYTES)

_KEY_DIGITS = len(sample_key(0))
_SIZE = slice(124, 135)
_CHECKSUM = slice(148, 154)
_PADDING = [bytes(n) for n in range(BLOCK_BYTES)]

Integers = NDArray[np.int64]


def padded(size_bytes: Integers) -> Integers:
    """Sizes rounded up to whole tar blocks."""
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def equal_members(keys: Integers, component: str, payloads: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Whole members ``<key>.<component>`` of equal size: `payloads` are uint8 (n, bytes). Returns
    uint8 (n, header and padded bytes)."""
    count, size_bytes = payloads.shape
    whole = BLOCK_BYTES + -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES
    out = np.zeros((count, whole), np.uint8)
    out[:, :BLOCK_BYTES] = member_headers(keys, np.full(count, size_bytes), [component] * count)
    out[:, BLOCK_BYTES : BLOCK_BYTES + size_bytes] = payloads
    return out


def label_payloads(labels: NDArray[np.int32], digits: int) -> NDArray[np.uint8]:
    """Labels as ASCII, zero-padded to `digits`: uint8 (n, digits)."""
    return _digits(labels.astype(np.int64), digits, base=10)


def npy_payloads(rows: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Each row of float32 (n, k) as a .npy file: uint8 (n, bytes)."""
    header = np.frombuffer(npy_header("<f4", rows.shape[1:]), np.uint8)
    values = np.ascontiguousarray(rows, "<f4").view(np.uint8).reshape(len(rows), -1)
    return np.concatenate([np.broadcast_to(header, (len(rows), len(header))), values], axis=1)


def npy_header(dtype: DTypeLike, shape: tuple[int, ...]) -> bytes:
    """The first bytes of a .npy file, before the values."""
    file = io.BytesIO()
    description = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(
        file, {"descr": description, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def member_headers(keys: Integers, sizes: Integers, components: Sequence[str]) -> NDArray[np.uint8]:
    """USTAR headers of members ``<key>.<component>``: uint8 of shape (n, 512)."""
    kinds = {name: number for number, name in enumerate(sorted(set(components)))}
    templates = np.stack([_template(name) for name in kinds])
    out = templates[[kinds[name] for name in components]]
    out[:, :_KEY_DIGITS] = _digits(keys, _KEY_DIGITS, base=10)
    out[:, _SIZE] = _digits(sizes, 11, base=8)
    # The sum of all bytes, with spaces in place of the checksum.
    out[:, 148:156] = ord(" ")
    out[:, _CHECKSUM] = _digits(out.sum(axis=1, dtype=np.int64), 6, base=8)
    out[:, 154] = 0
    return out


def index_text(
    target: str, rows: NDArray[np.void] | dict[str, Integers], components: Sequence[str]
) -> str:
    """DALI's v1.2 index of a tar. `target`: the component of targets; `components`: of the images;
    `rows`: with fields key, offset, size, target_offset and target_size, in bytes of the tar; a
    target_size of 0 stands for a sample without a target."""
    lines = [f"v1.2 {len(components)}\n"]
    fields = ("key", "target_offset", "target_size", "offset", "size")
    columns = (rows[name].tolist() for name in fields)
    for number, target_offset, target_size, offset, size, image in zip(
        *columns, components, strict=True
    ):
        key = sample_key(number)
        before = f"{target} {target_offset} {target_size} {key}.{target} " if target_size else ""
        lines.append(f"{before}{image} {offset} {size} {key}.{image}\n")
    return "".join(lines)


def padding(size_bytes: int) -> bytes:
    """Zero bytes that fill the last block of a member."""
    return _PADDING[-size_bytes % BLOCK_BYTES]


def _template(component: str) -> NDArray[np.uint8]:
    info = tarfile.TarInfo(f"{sample_key(0)}.{component}")
    return np.frombuffer(info.tobuf(tarfile.USTAR_FORMAT), np.uint8)


def _digits(values: Integers, width: int, *, base: int) -> NDArray[np.uint8]:
    """ASCII digits, zero-padded to `width`: uint8 of shape (n, width)."""
    powers = base ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (values[:, None] // powers % base + ord("0")).astype(np.uint8)
