"""The least that could do the work, each a program of its own:
``python -m benchmarks.sharding.bare WORK SRC OUT PROCESSES``.

Each prints the seconds that its work alone took, without the start of Python and its processes.
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
# As tools/shard encodes: baseline, chroma halved both ways. A test compares the bytes.
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


def _decode(out: str, path: str) -> None:
    decode(path)


def _recode(out: str, path: str) -> None:
    recode(path)


def _copy(out: str, path: str) -> None:
    shutil.copyfile(path, f"{out}/{Path(path).name}")


def _each(work: Callable[[str, str], None], src: str, out: str, processes: int) -> float:
    """Seconds of `work` on each image, on `processes` processes that have started already."""
    # Forked, since nothing starts faster.
    context = multiprocessing.get_context("fork")
    with context.Pool(processes, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        pool.map(abs, range(processes))
        began = time.perf_counter()
        paths = [path for path, _ in list_sources(src)]
        for _ in pool.imap_unordered(partial(work, out), paths, chunksize=_CHUNK_IMAGES):
            pass
        return time.perf_counter() - began


def _copy_and_sync(src: str, out: str, processes: int) -> float:
    """Seconds until the copies are on the disk."""
    seconds = _each(_copy, src, out, processes)
    began = time.perf_counter()
    os.sync()
    return seconds + time.perf_counter() - began


def _read_csv(src: str, out: str, processes: int) -> float:
    """Seconds that Arrow takes to read the CSV in `src`, all columns uint8."""
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    (path,) = Path(src).glob("*.csv")
    with path.open() as file:
        names = file.readline().strip().split(",")
    types = arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.uint8()))
    began = time.perf_counter()
    for _ in arrow_csv.open_csv(path, convert_options=types):
        pass
    return time.perf_counter() - began


WORKS: dict[str, Callable[[str, str, int], float]] = {
    "decode": partial(_each, _decode),
    "recode": partial(_each, _recode),
    "copy": partial(_each, _copy),
    "copy-and-sync": _copy_and_sync,
    "read-csv": _read_csv,
}


if __name__ == "__main__":
    _work, _src, _out, _processes = sys.argv[1:]
    print(json.dumps({"work_seconds": WORKS[_work](_src, _out, int(_processes))}))
