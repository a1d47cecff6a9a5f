"""The least that could do the work of tools/shard, each work a program:
``python -m benchmarks.sharding.bare_programs WORK SRC OUT PROCESSES``.

It prints the seconds of its work without the start of Python and its processes.
"""

import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

QUALITY = 90
SHORTEST_PX = 256
# As tools/shard encodes: baseline, chroma 4:2:0. A test compares the bytes.
_JPEG = (
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
    *(cv2.IMWRITE_JPEG_PROGRESSIVE, 0),
    *(cv2.IMWRITE_JPEG_QUALITY, QUALITY),
)
_CHUNK_IMAGES = 16


def list_sources(src: str) -> list[tuple[str, int]]:
    """Path and label of each image in the class folders of `src`, class by class."""
    folders = sorted(entry.path for entry in os.scandir(src) if entry.is_dir())
    return [
        (path, label)
        for label, folder in enumerate(folders)
        for path in sorted(entry.path for entry in os.scandir(folder))
    ]


def decode(path: str) -> Any:
    """The pixels of an image file, uint8."""
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, path
    return pixels


def recode(path: str) -> bytes:
    """An image file as JPEG."""
    _, buffer = cv2.imencode(".jpg", decode(path), _JPEG)
    return buffer.tobytes()


def shrink(path: str) -> Any:
    """The pixels of an image file, all decoded, then shrunk to SHORTEST_PX, uint8."""
    pixels = decode(path)
    scale = SHORTEST_PX / min(pixels.shape[:2])
    size = [round(side * scale) for side in pixels.shape[1::-1]]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def shrink_and_encode(path: str) -> bytes:
    """An image file as a smaller JPEG."""
    _, buffer = cv2.imencode(".jpg", shrink(path), _JPEG)
    return buffer.tobytes()


def _discard(work: Callable[[str], Any], path: str) -> None:
    """Without a result, which the pool would send to its parent."""
    work(path)


def _map(work: Callable[[str], Any], src: str, out: str, processes: int) -> float:
    """Seconds of `work` on each image, by `processes` processes that are running already."""
    # Forked, the fastest start.
    context = multiprocessing.get_context("fork")
    with context.Pool(processes, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        pool.map(abs, range(processes))
        start = time.perf_counter()
        paths = [path for path, _ in list_sources(src)]
        for _ in pool.imap_unordered(partial(_discard, work), paths, chunksize=_CHUNK_IMAGES):
            pass
        return time.perf_counter() - start


def _copy_file(out: str, path: str) -> None:
    shutil.copyfile(path, f"{out}/{Path(path).name}")


def _copy(src: str, out: str, processes: int) -> float:
    return _map(partial(_copy_file, out), src, out, processes)


def _copy_and_sync(src: str, out: str, processes: int) -> float:
    """Seconds until the copies are on the disk."""
    seconds, start = _copy(src, out, processes), time.perf_counter()
    os.sync()
    return seconds + time.perf_counter() - start


def _read_csv(src: str, out: str, processes: int) -> float:
    """Seconds of Arrow to read the CSV in `src`, all columns uint8."""
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    (path,) = Path(src).glob("*.csv")
    with path.open() as file:
        names = file.readline().strip().split(",")
    types = arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.uint8()))
    start = time.perf_counter()
    for _ in arrow_csv.open_csv(path, convert_options=types):
        pass
    return time.perf_counter() - start


WORKS: dict[str, Callable[[str, str, int], float]] = {
    "decode": partial(_map, decode),
    "recode": partial(_map, recode),
    "shrink": partial(_map, shrink_and_encode),
    "copy": _copy,
    "copy-and-sync": _copy_and_sync,
    "read-csv": _read_csv,
}


if __name__ == "__main__":
    _work, _src, _out, _processes = sys.argv[1:]
    print(json.dumps({"work_seconds": WORKS[_work](_src, _out, int(_processes))}))
