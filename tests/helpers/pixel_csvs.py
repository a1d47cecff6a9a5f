"""Twelve images as CSVs of pixels, and the sources that tools/shard collects."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.config import ShardConfig
from tools.download.file_index import index_files
from tools.download.sources import Sources
from tools.pixel_tables.collect import collect_pixels
from tools.pixel_tables.pixel_table import PixelTable
from tools.readings.detect import detect
from tools.workers import Workers

Unpack = Callable[[str], Path]
Pixels = NDArray[np.uint8]
ROWS = 12
IMAGES = np.random.default_rng(0).integers(0, 256, (ROWS, 16)).astype(np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (ROWS, 48)).astype(np.uint8)
LABELS = [str(7 - n % 3) for n in range(ROWS)]


def find(folder: Path, **arguments: Any) -> list[PixelTable]:
    config = ShardConfig(src=str(folder), out=str(folder / "out"), **arguments)
    parts = detect(index_files(str(folder)), config).parts
    assert all(isinstance(part, PixelTable) for part in parts)
    return list(parts)  # type: ignore[arg-type]


def collect(folder: Path, workers: Workers, **arguments: Any) -> Sources:
    spool = folder / "pixels.spool"
    spool.unlink(missing_ok=True)
    return collect_pixels(find(folder, **arguments), workers, spool, lambda count: None)


def images_of(sources: Sources) -> Pixels:
    """The images of all sources, (n, h, w) or (n, h, w, 3) RGB."""
    images = np.stack([np.asarray(image) for _, image in sources.images.load(2**20)])
    return images if images.ndim == 3 else images[..., ::-1]


def labels_of(sources: Sources) -> list[str]:
    return [sources.classes[n] for n in sources.labels.tolist()]


def write(folder: Path, text: str, name: str = "train.csv") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(text.encode())
    return folder


def table(
    columns: Sequence[str] | None, cells: Callable[[int, list[str]], Sequence[str]], **form: Any
) -> str:
    """The 12 images as a CSV; ``cells(number, values)`` gives the cells of a row."""
    separator, end = form.get("separator", ","), form.get("end", "\n")
    rows = [cells(n, [str(value) for value in image]) for n, image in enumerate(IMAGES.tolist())]
    lines = [separator.join(row) for row in ([columns] if columns else []) + rows]
    return end.join(lines) + end


def label_first(number: int, values: list[str]) -> list[str]:
    return [LABELS[number], *values]


def packed(number: int, values: list[str]) -> list[str]:
    return [LABELS[number], " ".join(values)]


NAMED = ["label", *(f"pixel{n}" for n in range(16))]
FORMS = {
    "digit recognizer": table(NAMED, label_first),
    "from 1": table(["label", *(f"pixel{n}" for n in range(1, 17))], label_first),
    "1x1": table(["label", *(f"{y}x{x}" for y in range(4) for x in range(4))], label_first),
    "no header": table(None, label_first),
    "no header, with an index": table(None, lambda n, v: [str(n), *label_first(n, v)]),
    "label last": table(
        [*(f"pixel{n:04}" for n in range(16)), "label"], lambda n, v: [*v, LABELS[n]]
    ),
    "label in between": table(
        [*NAMED[1:7], "class", *NAMED[7:]], lambda n, v: [*v[:6], LABELS[n], *v[6:]]
    ),
    "id": table(["id", *NAMED], lambda n, v: [str(n), *label_first(n, v)]),
    "pandas index": table(["", *NAMED], lambda n, v: [str(n), *label_first(n, v)]),
    "R": table([f"V{n}" for n in range(1, 18)], label_first),
    "bare numbers": table(["label", *(str(n) for n in range(16))], label_first),
    "tabs": table(NAMED, label_first, separator="\t"),
    "BOM, CRLF": "\ufeff" + table(NAMED, label_first, end="\r\n"),
    "no line end": table(NAMED, label_first).rstrip(),
    "blank lines": table(NAMED, label_first).replace("\n", "\n\n  \n"),
    "quotes": table(NAMED, lambda n, v: [f'"{cell}"' for cell in label_first(n, v)]),
    "whole floats": table(NAMED, lambda n, v: [LABELS[n], *(f"{value}.0" for value in v)]),
    "as savetxt": table(None, lambda n, v: [LABELS[n], *(f"{float(x):.18e}" for x in v)]),
    "spaces": table(NAMED, lambda n, v: [f" {cell} " for cell in label_first(n, v)]),
    "packed": table(["emotion", "pixels"], packed),
    "packed, CRLF": table(["emotion", "pixels"], packed, end="\r\n"),
    "packed, quotes": table(["emotion", "pixels"], lambda n, v: [LABELS[n], f'"{" ".join(v)}"']),
    "packed, no header": table(None, packed),
    "packed first": table(["image", "label"], lambda n, v: packed(n, v)[::-1]),
}
