"""Collect the sources of arrays: one pass over their pixels, into a file that worker processes
read, in constant memory."""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.storage.manifest import SPLITS
from tools.arrays.encoded_spool import SpooledFiles
from tools.arrays.image_rows import EncodedRows, PixelRows
from tools.arrays.parts import ArrayPart
from tools.arrays.row_labels import RowLabels, join_labels
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.name_index import PathTable
from tools.download.sources import RowNames, Sources, WrittenIds
from tools.images.image_source import Images
from tools.images.pixel_range import PixelRange, common_range
from tools.pixel_tables.spool import SpooledPixels

Advance = Callable[[int], None]
Rejected = list[tuple[int, str]]


def collect_arrays(
    parts: Sequence[ArrayPart], index: FileIndex, folder: Path, advance: Advance
) -> Sources:
    """The sources of all rows of `parts`.

    The images are written to a file in `folder`; calls `advance` with the number of rows that were
    read. Raises the problem of a part, ``DataError`` if images differ in shape or kind, or if a
    file can't be read.
    """
    for part in parts:
        part.require_usable()
    rows = [row for part in parts for row in part.rows]
    if all(isinstance(row, EncodedRows) for row in rows):
        encoded = [row for row in rows if isinstance(row, EncodedRows)]
        images: Images = _spool_files(encoded, folder / "images.spool", advance)
        rejected, pixel_range = Rejected(), None
    else:
        pixels = [row for row in rows if isinstance(row, PixelRows)]
        _require_one_shape(pixels, len(rows))
        pixel_range = common_range([p.pixel_range for p in parts if p.pixel_range is not None])
        images, rejected = _spool_pixels(pixels, pixel_range, folder / "pixels.spool", advance)
    return _sources(parts, images, rejected, pixel_range)


def arrays_identity(index: FileIndex, parts: Sequence[ArrayPart], config: ShardConfig) -> str:
    """A SHA-256 over the download and what determines the pixels of `parts`, except the contents of
    their files, see ``FileIndex.identity``."""
    digest = hashlib.sha256(index.identity.encode())
    for path, row in _file_rows(index, parts):
        if row["archive"] >= 0 or index.storage.local is not None:
            row["version"] = 0
        digest.update(path.encode(errors="surrogateescape") + b"\0" + row.tobytes())
    options = (config.pixel_range, config.pixel_size, config.pixel_layout, config.alpha)
    digest.update(repr((options, [(p.about, p.pixel_range, p.option) for p in parts])).encode())
    return digest.hexdigest()


def arrays_versions(index: FileIndex, parts: Sequence[ArrayPart]) -> str:
    """A SHA-256 over the versions of the download and of the files of `parts`."""
    digest = hashlib.sha256(index.versions.encode())
    for _, row in _file_rows(index, parts):
        digest.update(row["version"].tobytes())
    return digest.hexdigest()


def _file_rows(index: FileIndex, parts: Sequence[ArrayPart]) -> Iterator[tuple[str, Any]]:
    """The path and a copy of the entry of each file of `parts`."""
    for path in dict.fromkeys(file for part in parts for file in part.files):
        yield path, index.other_entries.rows[bisect_left(index.others, path)].copy()


def _spool_pixels(
    rows: Sequence[PixelRows], pixel_range: PixelRange, spool: Path, advance: Advance
) -> tuple[SpooledPixels, Rejected]:
    """All images as uint8, one after the other, and the rows that are outside of the range."""
    rejected: Rejected = []
    count = 0
    with spool.open("wb") as file:
        for row in rows:
            before = count
            for block in row.blocks(spool.parent):
                outside = np.flatnonzero(pixel_range.outside(block)).tolist()
                rejected += [(count + n, _outside_text(block[n], pixel_range)) for n in outside]
                with np.errstate(invalid="ignore"):
                    file.write(np.ascontiguousarray(pixel_range.to_uint8(block)).data)
                count += len(block)
                advance(len(block))
            _require_count(row, count - before)
    return SpooledPixels(spool, np.arange(count), rows[0].shape, planar=False), rejected


def _outside_text(image: NDArray[np.generic], pixel_range: PixelRange) -> str:
    if not np.all(np.isfinite(image)):
        return "it has pixels that are no numbers (NaN or infinity)"
    return (
        f"its pixels go from {image.min():g} to {image.max():g}, those of the other images from "
        f"{pixel_range.low:g} to {pixel_range.high:g}; --pixel-range LOW HIGH gives the range"
    )


def _spool_files(rows: Sequence[EncodedRows], spool: Path, advance: Advance) -> SpooledFiles:
    """All image files, one after the other."""
    sizes: list[NDArray[np.int64]] = []
    with spool.open("wb") as file:
        for row in rows:
            before = sum(map(len, sizes))
            for block in row.blocks():
                sizes.append(np.array([_write(file, data) for data in block], np.int64))
                advance(len(block))
            _require_count(row, sum(map(len, sizes)) - before)
    sizes_of_all = np.concatenate(sizes)
    ends = np.cumsum(sizes_of_all.clip(0))
    return SpooledFiles(spool, ends - sizes_of_all.clip(0), sizes_of_all)


def _write(file: IO[bytes], data: bytes | None) -> int:
    return -1 if data is None else file.write(data)


def _sources(
    parts: Sequence[ArrayPart], images: Images, rejected: Rejected, pixel_range: PixelRange | None
) -> Sources:
    labels = _labels_of(parts)
    splits = _splits_of(parts)
    names = _names_of(parts)
    in_test = splits == SPLITS.index("test")
    labeled = np.concatenate(
        [np.full(part.images, part.labels is not None, np.bool_) for part in parts]
    )
    unusable = dict.fromkeys(_missing(labels, labeled).tolist(), "the row has no label")
    unusable |= dict(rejected)
    notes = [note for part in parts for note in part.notes]
    if pixel_range is not None and pixel_range.text:
        notes.append(pixel_range.text)
    sources = Sources(
        images=images,
        names=names,
        task=labels.task,
        labels=labels.labels,
        classes=labels.classes,
        ordered=labels.ordered,
        targets=labels.targets,
        target_names=labels.target_names,
        labeled=None if labeled.all() else labeled,
        ids=_ids_of(parts, names),
        splits=splits if len(np.unique(splits)) > 1 or in_test.any() else None,
        rejected=tuple((names[n], unusable[n]) for n in sorted(unusable)),
        notes=tuple(dict.fromkeys(notes)),
    )
    if not unusable:
        return sources
    kept = np.setdiff1d(np.arange(len(labeled)), np.array(sorted(unusable)))
    if not len(kept):
        raise DataError(
            "No row has both an image and a label; first: {}: {}.".format(*sources.rejected[0])
        )
    return sources.take(kept)


def _labels_of(parts: Sequence[ArrayPart]) -> RowLabels:
    """The labels of all parts; rows of parts without labels have none."""
    labels = join_labels([part.labels for part in parts if part.labels is not None] or [_none(0)])
    position, numbers = 0, []
    for part in parts:
        own = np.full(part.images, -1, np.int64)
        if part.labels is not None:
            own = np.arange(position, position + part.images)
            position += part.images
        numbers.append(own)
    places = np.concatenate(numbers)
    rows = np.append(labels.labels, np.int32(-1))[places]
    if labels.targets is None:
        return replace(labels, labels=rows)
    padding = np.full((1, labels.targets.shape[1]), np.nan, np.float32)
    return replace(labels, labels=rows, targets=np.concatenate([labels.targets, padding])[places])


def _none(count: int) -> RowLabels:
    return RowLabels(task="classification", labels=np.full(count, -1, np.int32))


def _missing(labels: RowLabels, labeled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The rows of labeled parts that have no label."""
    return np.flatnonzero(labels.missing & labeled)


def _splits_of(parts: Sequence[ArrayPart]) -> NDArray[np.int8]:
    return np.concatenate(
        [
            np.full(part.images, SPLITS.index(_split_of(part)), np.int8)
            if part.splits is None
            else part.splits
            for part in parts
        ]
    )


def _split_of(part: ArrayPart) -> str:
    """The split; images that can't validate, without labels, are a test set."""
    return "test" if part.labels is None else part.split or SPLITS[0]


def _names_of(parts: Sequence[ArrayPart]) -> RowNames:
    rows = [row for part in parts for row in part.rows]
    tables = np.repeat(np.arange(len(rows), dtype=np.int32), [row.count for row in rows])
    lines = np.concatenate([np.arange(1, row.count + 1) for row in rows])
    # There may be more files than int8 counts, and RowNames takes integers of any size.
    return RowNames([row.name for row in rows], tables, lines)  # type: ignore[arg-type]


def _ids_of(parts: Sequence[ArrayPart], names: RowNames) -> Sequence[str]:
    """The ids that the arrays have, else the names of the rows."""
    if all(part.ids is None for part in parts):
        return names
    texts = PathTable(text for part in parts if part.ids is not None for text in part.ids())
    has_id = np.concatenate([np.full(part.images, part.ids is not None) for part in parts])
    return WrittenIds(texts, np.where(has_id, np.cumsum(has_id) - 1, -1), names)


def _require_one_shape(rows: Sequence[PixelRows], count: int) -> None:
    if len(rows) < count:
        raise DataError(
            "Some of the arrays have pixels, and others encoded images. Pass those of one kind as "
            "--labels."
        )
    if len({row.shape for row in rows}) > 1:
        shapes = ", ".join(f"{row.name} {row.shape}" for row in rows)
        raise DataError(
            f"The arrays have images of different sizes: {shapes}. Pass those of one "
            f"size as --labels."
        )


def _require_count(row: PixelRows | EncodedRows, count: int) -> None:
    if count != row.count:
        raise DataError(
            f"{row.name} has {count:,} images, and its header says {row.count:,}. Download it "
            f"again."
        )
