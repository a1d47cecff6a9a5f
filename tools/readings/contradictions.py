"""Whether run lengths say the same as the mask files that count instead of them."""

import io
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.download.file_index import FileIndex
from tools.images.decoding import UnsoundImageError
from tools.images.mask_files import decode_runs, pack_runs
from tools.readings.image_tables import RunLengthTable
from tools.readings.mask_pairs import MaskFiles
from tools.readings.reading import Kind, Reading

_COMPARED_IMAGES = 8
# Masks that are stored with loss, or shrunk, differ in fewer pixels.
_MAX_DIFFERENT = 0.01


def contradictions(index: FileIndex, taken: Reading, readings: Sequence[Reading]) -> Iterator[str]:
    """A sentence for each table of run lengths that differ from the mask files of `taken`, compared
    on a few images."""
    files = [part for part in taken.parts if isinstance(part, MaskFiles)]
    tables = [reading for reading in readings if reading.kind is Kind.RUN_LENGTHS]
    for reading in tables if files else []:
        for part in reading.parts:
            if isinstance(part, RunLengthTable):
                path = _first_difference(index, files[0], part)
                if path:
                    yield (
                        f"{part.name} has run lengths that differ from the mask files, such as "
                        f"those of {path}: the files count."
                    )


def _first_difference(index: FileIndex, files: MaskFiles, table: RunLengthTable) -> str:
    masks: dict[int, list[int]] = defaultdict(list)
    for image, mask in files.pairs[: 100 * _COMPARED_IMAGES].tolist():
        masks[image].append(mask)
    runs: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for row in table.table.sample:
        numbers = table.images.find(index, table.images.text(row))
        if len(numbers) == 1 and numbers[0] in masks and len(row) > table.runs:
            runs[numbers[0]].append((1, row[table.runs]))
    for image in list(runs)[:_COMPARED_IMAGES]:
        mask = _union(index, masks[image])
        if mask is not None and _differs(mask, [run for run in runs[image] if run[1]]):
            return index.images[image]
    return ""


def _union(index: FileIndex, numbers: Sequence[int]) -> NDArray[np.bool_] | None:
    """The object of several mask files, (h, w); None if one can't be read."""
    union = None
    for _, data in index.take(np.array(numbers, np.int64)).load(sys.maxsize):
        try:
            with Image.open(io.BytesIO(data if isinstance(data, bytes) else b"")) as file:
                mask = np.asarray(file.convert("L")) > 0
        except (OSError, ValueError, SyntaxError):
            return None
        union = mask if union is None else union | mask
    return union


def _differs(mask: NDArray[np.bool_], runs: Sequence[tuple[int, str]]) -> bool:
    height, width = mask.shape
    try:
        other = decode_runs(pack_runs(runs), (height, width)) > 0
    except (UnsoundImageError, ValueError):
        return True
    return float((mask != other).mean()) > _MAX_DIFFERENT
