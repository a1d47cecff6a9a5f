"""Writes one split: tars, their indices, the sample index, the sources of the samples."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from pipeline.dataset import (
    IMAGE_COMPONENTS,
    SAMPLE_DTYPE,
    Shard,
    index_name,
    sample_key,
    samples_name,
    shard_name,
    sources_name,
)
from tools.tar import END, PREFIX_BYTES, index_lines, padded, padding, sample_prefixes

_SOURCES_SCHEMA = pa.schema([("key", pa.string()), ("source", pa.string())])
# Rows of the sources' table that are kept before they are written.
_SOURCES_BUFFER = 50_000


class ShardFile:
    """One tar that is being written, its checksum and the lines of its DALI index."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._file = (folder / name).open("wb")
        self._lines: list[str] = []
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        self.samples = 0

    def write(self, data: bytes, lines: str, samples: int) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._lines.append(lines)
        self.size_bytes += len(data)
        self.samples += samples

    def finish(self) -> Shard:
        self.write(END, "", 0)
        self._file.close()
        index = f"v1.2 {self.samples}\n" + "".join(self._lines)
        (self._folder / index_name(self._name)).write_text(index, encoding="ascii")
        return Shard(
            name=self._name,
            samples=self.samples,
            bytes=self.size_bytes,
            sha256=self._hash.hexdigest(),
        )

    def abandon(self) -> None:
        self._file.close()


class SplitWriter:
    """Appends samples to the shards of one split in `folder`. A context: leaving it by an error
    closes the files and leaves them unfinished.

    A sample's key is its number in the split. `digits` is the width of a label in ASCII,
    `shard_bytes` the size that a shard doesn't exceed, unless one sample does.
    """

    def __init__(self, folder: Path, split: str, *, digits: int, shard_bytes: int) -> None:
        self._folder, self._split = folder, split
        self._digits, self._shard_bytes = digits, shard_bytes
        self._shards: list[Shard] = []
        self._open: ShardFile | None = None
        self._rows_path = folder / f"{samples_name(split)}.rows"
        self._rows = self._rows_path.open("wb")
        self._sources = parquet.ParquetWriter(folder / sources_name(split), _SOURCES_SCHEMA)
        self._names: list[str] = []
        self.samples = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._open is not None:
            self._open.abandon()
        self._rows.close()
        self._sources.close()

    def append(
        self,
        images: Sequence[bytes],
        results: NDArray[np.void],
        labels: NDArray[np.int32],
        names: Sequence[str],
    ) -> None:
        """Samples in order: bytes, RESULT_DTYPE rows, labels, and what each was made of."""
        steps = padded(results["size"]) + PREFIX_BYTES
        done = 0
        while done < len(images):
            shard = self._shard()
            room_bytes = self._shard_bytes - shard.size_bytes - len(END)
            count = int(np.searchsorted(np.cumsum(steps[done:]), room_bytes, side="right"))
            if count == 0 and shard.samples:
                self._close_shard()
                continue
            part = slice(done, done + max(1, count))
            self._write(shard, images[part], results[part], labels[part])
            done = part.stop
        self._names += names
        if len(self._names) >= _SOURCES_BUFFER:
            self._write_names()

    def finish(self) -> tuple[Shard, ...]:
        """Complete all files; returns the shards."""
        self._close_shard()
        self._write_names()
        self._rows.close()
        with (self._folder / samples_name(self._split)).open("wb") as file:
            header = {
                "descr": np.lib.format.dtype_to_descr(SAMPLE_DTYPE),
                "fortran_order": False,
                "shape": (self.samples,),
            }
            np.lib.format.write_array_header_1_0(file, header)
            with self._rows_path.open("rb") as rows:
                shutil.copyfileobj(rows, file)
        self._rows_path.unlink()
        return tuple(self._shards)

    def _shard(self) -> ShardFile:
        if self._open is None:
            self._open = ShardFile(self._folder, shard_name(self._split, len(self._shards)))
        return self._open

    def _close_shard(self) -> None:
        if self._open is not None:
            self._shards.append(self._open.finish())
            self._open = None

    def _write(
        self,
        shard: ShardFile,
        images: Sequence[bytes],
        results: NDArray[np.void],
        labels: NDArray[np.int32],
    ) -> None:
        keys = np.arange(self.samples, self.samples + len(images))
        sizes = results["size"].astype(np.int64)
        steps = padded(sizes) + PREFIX_BYTES
        offsets = shard.size_bytes + np.cumsum(steps) - steps + PREFIX_BYTES
        components = [IMAGE_COMPONENTS[n] for n in results["component"].tolist()]
        digits = self._digits
        prefixes = sample_prefixes(keys, labels.astype(np.int64), sizes, components, digits=digits)
        pieces: list[bytes | memoryview] = []
        for prefix, image in zip(prefixes, images, strict=True):
            pieces += (prefix.data, image, padding(len(image)))
        lines = index_lines(keys, offsets, sizes, components, digits=digits)
        shard.write(b"".join(pieces), lines, len(images))
        rows = np.zeros(len(images), SAMPLE_DTYPE)
        rows["shard"], rows["offset"], rows["label"] = len(self._shards), offsets, labels
        for name in ("size", "height", "width", "crc32"):
            rows[name] = results[name]
        self._rows.write(rows.tobytes())
        self.samples += len(images)

    def _write_names(self) -> None:
        first = self.samples - len(self._names)
        keys = [sample_key(number) for number in range(first, self.samples)]
        table = pa.table([keys, self._names], schema=_SOURCES_SCHEMA)
        self._sources.write_table(table)
        self._names = []
