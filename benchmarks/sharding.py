"""The speed of ``tools/shard`` against the least that could do the same work.

Photographs, re-encoded to JPEG: two workers against one (at least 1.8 times), and against a bare
loop of cv2.imdecode + cv2.imencode on two processes (at least 0.8 of it). Pixels in a CSV: the
whole tool against Arrow that only reads the file (at least 0.5 of it), and the memory it takes
(less than 1 GB). The tool is run as a user runs it: start, plan, checksums and renaming are in its
time.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from benchmarks.measure import alternate, report
from tools.download.names import IMAGE_SUFFIXES

MEBIBYTE = 2**20
QUALITY = 90
SIDE_PX = 28


@click.command()
@click.option(
    "--src",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="Folder of photographs; labels are made up.",
)
@click.option("--repeat", default=16, show_default=True, help="How often each photograph is taken.")
@click.option(
    "--csv-size",
    "csv_mebibytes",
    default=500,
    show_default=True,
    help="Size of the pixel CSV in MiB.",
)
@click.option("--runs", default=5, show_default=True, help="Measured rounds; one more warms up.")
def main(src: Path, repeat: int, csv_mebibytes: int, runs: int) -> None:
    """Measure tools/shard on photographs and on a CSV of pixels."""
    with tempfile.TemporaryDirectory() as folder:
        _photographs(src, Path(folder), repeat=repeat, runs=runs)
        _pixels(Path(folder), csv_mebibytes * MEBIBYTE, runs=runs)


def _photographs(src: Path, folder: Path, *, repeat: int, runs: int) -> None:
    found = [path for path in sorted(src.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES]
    download = _class_folders(found, folder / "photographs", repeat)
    paths = [str(path) for path in sorted(download.rglob("*.*"))]

    def tool(workers: int) -> Callable[[], float]:
        arguments = ["--encode", "jpeg", "--quality", str(QUALITY), "--workers", str(workers)]
        return lambda: len(paths) / _shard(download, folder, arguments)[0]

    contenders = {
        "bare loop, 2 processes": lambda: len(paths) / _bare_loop(paths, 2),
        "tools/shard, 2 workers": tool(2),
        "tools/shard, 1 worker": tool(1),
    }
    measured = alternate(contenders, runs=runs)
    bare, two, one = (row.median for row in measured)
    facts = {"images": len(paths), "two_over_one": two / one, "two_over_bare_loop": two / bare}
    report("re-encoding photographs", "images/s", measured, facts=facts)


def _pixels(folder: Path, size_bytes: int, *, runs: int) -> None:
    download = folder / "pixels"
    download.mkdir()
    table = download / "train.csv"
    _write_pixel_csv(table, size_bytes)
    megabytes = table.stat().st_size / 1e6
    peaks: list[int] = []

    def tool() -> float:
        seconds, peak_bytes = _shard(download, folder, ["--workers", "2"])
        peaks.append(peak_bytes)
        return megabytes / seconds

    contenders = {
        "pyarrow.csv reading alone": lambda: megabytes / _read_with_arrow(table),
        "tools/shard, 2 workers": tool,
    }
    measured = alternate(contenders, runs=runs)
    alone, whole = (row.median for row in measured)
    facts = {
        "csv_megabytes": megabytes,
        "tool_over_arrow": whole / alone,
        "peak_rss_megabytes": max(peaks) / 1e6,
    }
    report("pixel CSV", "MB/s", measured, facts=facts)


def _class_folders(found: Sequence[Path], folder: Path, repeat: int) -> Path:
    """Links to the photographs in two class folders."""
    for number in range(2):
        (folder / f"class{number}").mkdir(parents=True)
    for number, path in enumerate(list(found) * repeat):
        link = folder / f"class{number % 2}" / f"{number:06d}{path.suffix}"
        link.symlink_to(path.resolve())
    return folder


def _write_pixel_csv(path: Path, size_bytes: int) -> None:
    """scikit-learn's digits, over and over, as MNIST has them: 20 x 20 px in 28 x 28."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pictures = np.zeros((len(digits.images), SIDE_PX, SIDE_PX), np.uint8)
    for picture, small in zip(pictures, digits.images, strict=True):
        picture[4:24, 4:24] = cv2.resize((small * (255 / 16)).astype(np.uint8), (20, 20))
    rows = "".join(
        f"{label},{','.join(map(str, picture.ravel().tolist()))}\n"
        for label, picture in zip(digits.target, pictures, strict=True)
    ).encode()
    with path.open("wb") as file:
        file.write(b"label," + b",".join(b"pixel%d" % n for n in range(SIDE_PX**2)) + b"\n")
        while file.tell() < size_bytes:
            file.write(rows)


def _shard(src: Path, folder: Path, arguments: Sequence[str]) -> tuple[float, int]:
    """Seconds and peak memory in bytes, of all its processes together, of one run of the tool."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        command = [sys.executable, "-m", "tools.cli", "--src", str(src), "--out", f"{out}/shards"]
        began = time.perf_counter()
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL)
        peak = _PeakMemory(process.pid)
        peak.start()
        code = process.wait()
        seconds = time.perf_counter() - began
        peak.join()
    if code:
        raise click.ClickException(f"tools/shard ended with code {code}.")
    return seconds, peak.peak_bytes


class _PeakMemory(threading.Thread):
    """Samples the resident memory of a process and its descendants, in bytes, until it ends.

    Pages that processes share count once for each of them.
    """

    interval_seconds = 0.1

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self._pid = pid

    def run(self) -> None:
        while resident := _resident_bytes(self._pid):
            self.peak_bytes = max(self.peak_bytes, resident)
            time.sleep(self.interval_seconds)


def _resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(_resident_bytes(int(c)) for c in children)


def _read_with_arrow(path: Path) -> float:
    names = path.open().readline().strip().split(",")
    types = arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.uint8()))
    began = time.perf_counter()
    for _ in arrow_csv.open_csv(path, convert_options=types):
        pass
    return time.perf_counter() - began


def _bare_loop(paths: Sequence[str], processes: int) -> float:
    context = multiprocessing.get_context("forkserver")
    with context.Pool(processes, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        pool.map(abs, range(processes))
        began = time.perf_counter()
        for _ in pool.imap_unordered(_decode_and_encode, paths, chunksize=8):
            pass
        return time.perf_counter() - began


def _decode_and_encode(path: str) -> None:
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, path
    cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
