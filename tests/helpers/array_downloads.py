"""Small downloads of arrays, and the sources that tools/shard collects from them."""

import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.storage.manifest import SPLITS
from tools.arrays.choice import choose_array_parts
from tools.arrays.collect import collect_arrays
from tools.arrays.detect import find_array_parts
from tools.arrays.parts import ArrayPart
from tools.config import ShardConfig
from tools.download.file_index import index_files
from tools.download.sources import Sources

Pixels = NDArray[np.uint8]


def pictures(count: int, *shape: int, seed: int = 0) -> Pixels:
    """Random pixels (count, *shape); black and white occur in each picture."""
    values = np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)
    flat = values.reshape(count, -1)
    flat[:, 0], flat[:, 1] = 0, 255
    return values


def classes_of(count: int, classes: int = 3) -> NDArray[np.int64]:
    return np.arange(count) * 7 % classes


def write_arrays(path: Path, *unnamed: Any, **named: Any) -> Path:
    """A .npy of one array, or a compressed .npz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, *unnamed)
    else:
        np.savez_compressed(path, *unnamed, **named)
    return path


def zipped(folder: Path) -> Path:
    """The files of a folder in a compressed zip, in a folder of their own."""
    out = folder.parent / f"{folder.name}-zipped"
    out.mkdir()
    with zipfile.ZipFile(out / "archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return out


def find(folder: Path, **arguments: Any) -> list[ArrayPart]:
    config = ShardConfig(src=str(folder), out=str(folder / "out"), **arguments)
    return find_array_parts(index_files(str(folder)), config)


def collect(folder: Path, **arguments: Any) -> tuple[Sources, NDArray[np.bool_]]:
    config = ShardConfig(src=str(folder), out=str(folder / "out"), **arguments)
    index = index_files(str(folder))
    parts = choose_array_parts(find_array_parts(index, config), index, config)
    spool = folder.parent / f"{folder.name}-spool"
    spool.mkdir(exist_ok=True)
    done: list[int] = []
    sources = collect_arrays(parts, index, spool, done.append)
    labeled = sources.has_label
    assert sum(done) == sum(part.images for part in parts)
    assert len(labeled) == len(sources) == len(sources.images) == len(sources.names)
    return sources, labeled


def images_of(sources: Sources) -> Pixels:
    """The images of all sources, (n, h, w) or (n, h, w, 3) RGB."""
    loaded = [
        cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_UNCHANGED)
        if isinstance(image, bytes)
        else np.asarray(image)
        for _, image in sources.images.load(2**30)
    ]
    images = np.stack(loaded).astype(np.uint8)
    return images if images.ndim == 3 else images[..., ::-1]


def labels_of(sources: Sources) -> list[str]:
    return ["-" if n < 0 else sources.classes[n] for n in sources.labels.tolist()]


def splits_of(sources: Sources) -> list[str]:
    splits = np.zeros(len(sources), np.int8) if sources.splits is None else sources.splits
    return [SPLITS[n] for n in splits.tolist()]
