"""The expected contents of a tar, which follow from the index; of images and masks it has only the
checksums."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.manifest import sample_key
from tools.checking.tables import Tables
from tools.writing.tar import (
    BLOCK_BYTES,
    index_text,
    label_payloads,
    member_headers,
    npy_payloads,
    padded,
)

Integers = NDArray[np.int64]

# Samples whose headers are made at once.
_CHUNK = 4096


class Member(NamedTuple):
    """A file in a tar: its name, its header, size and zlib's crc32 of its content."""

    name: str
    header: bytes
    size_bytes: int
    crc32: int


class Contents(NamedTuple):
    """One component of n samples: sizes in bytes, int64 (n,), and crc32, uint32 (n,)."""

    sizes: Integers
    crcs: NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True)
class TarLayout:
    """Position and contents of n samples: the component `target`, which a sample without a label
    lacks, then the image, one of `image_components`. `digits`: width of a label in ASCII."""

    rows: Tables
    target: str
    image_components: tuple[str, ...]
    digits: int

    @cached_property
    def keys(self) -> Integers:
        return self.rows.samples["key"].astype(np.int64)

    @cached_property
    def offsets(self) -> Integers:
        """First bytes of the images."""
        return self.rows.samples["offset"].astype(np.int64)

    @cached_property
    def images(self) -> Contents:
        return Contents(self.rows.samples["size"].astype(np.int64), self.rows.samples["crc32"])

    @cached_property
    def labeled(self) -> NDArray[np.bool_]:
        """Whether each sample has a target: bool (n,)."""
        return self.rows.labeled

    @cached_property
    def targets(self) -> Contents:
        """Size 0 stands for no target."""
        masks = self.rows.masks
        if masks is not None:
            return Contents(masks["size"].astype(np.int64), masks["crc32"])
        if self.rows.targets is not None:
            payloads = npy_payloads(self.rows.targets)
        else:
            payloads = label_payloads(self.rows.samples["label"], self.digits)
        crcs = np.array([zlib.crc32(row) for row in payloads], np.uint32)
        return Contents(self.labeled * payloads.shape[1], crcs)

    @property
    def starts(self) -> Integers:
        """First bytes of the samples, those of their first header."""
        before = self.labeled * BLOCK_BYTES + padded(self.targets.sizes)
        return self.offsets - BLOCK_BYTES - before

    @property
    def ends(self) -> Integers:
        return self.offsets + padded(self.images.sizes)

    def members(self) -> Iterator[tuple[Member | None, dict[str, Member]]]:
        """For each sample the target, if it has one, and the image under each of
        `image_components`."""
        for start in range(0, len(self.rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            images = {
                name: self._members(part, self.images, name) for name in self.image_components
            }
            targets = self._members(part, self.targets, self.target)
            for target, labeled in zip(targets, self.labeled[part].tolist(), strict=True):
                members = {name: next(rest) for name, rest in images.items()}
                yield target if labeled else None, members

    def index_text(self, components: list[str]) -> str:
        """The contents of the ``.idx``, given the component of each image."""
        columns = {
            "key": self.keys,
            "target_offset": self.offsets - BLOCK_BYTES - padded(self.targets.sizes),
            "target_size": self.targets.sizes,
            "offset": self.offsets,
            "size": self.images.sizes,
        }
        return index_text(self.target, columns, components)

    def _members(self, part: slice, contents: Contents, component: str) -> Iterator[Member]:
        keys, sizes = self.keys[part], contents.sizes[part]
        headers = member_headers(keys, sizes, [component] * len(keys))
        crcs = contents.crcs[part].tolist()
        for key, header, size, crc in zip(
            keys.tolist(), headers, sizes.tolist(), crcs, strict=True
        ):
            yield Member(f"{sample_key(key)}.{component}", header.tobytes(), size, crc)
