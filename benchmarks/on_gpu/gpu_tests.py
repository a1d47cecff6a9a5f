"""The tests marked ``gpu``, on the photographs."""

import csv
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from benchmarks.measuring.provenance import ROOT
from benchmarks.on_gpu.config import GpuRun
from benchmarks.on_gpu.pictures import picture_files
from pipeline.errors import DataError

# The archive that tests/conftest.py looks for.
ARCHIVE = "imagenet_sample"
CLASSES = 10


def run_gpu_tests(config: GpuRun) -> None:
    """Run them in this process, which exits with the code of pytest. Raises ``DataError`` where
    only our packages are installed."""
    if not (ROOT / "tests").is_dir():
        raise DataError(
            f"{ROOT} has no tests: run this command in a clone of the repository, or leave them "
            f"out by --parts."
        )
    import pytest

    with tempfile.TemporaryDirectory() as folder:
        write_archive(config, Path(folder))
        os.environ["SHARDLINE_DATA"] = folder
        os.chdir(ROOT)
        arguments = ("-q", "-rs", "-m", "gpu", "-p", "no:cacheprovider", *map(str, marked_files()))
        code = pytest.main([*arguments])
    sys.exit(int(code))


def marked_files() -> list[Path]:
    """The test files with such tests: collecting all of tests/ takes long."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [path for path in files if "pytest.mark.gpu" in path.read_text()]


def write_archive(config: GpuRun, folder: Path) -> None:
    """The pictures with made-up labels, as the tests read them."""
    source = folder / ARCHIVE
    source.mkdir()
    with (source / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "class_id"])
        for number, path in enumerate(picture_files(config)):
            name = f"{number:04d}{path.suffix.lower()}"
            shutil.copyfile(path, source / name)
            rows.writerow([name, number % CLASSES])
    with tarfile.open(folder / f"{ARCHIVE}.tar", "w") as archive:
        archive.add(source, ARCHIVE)
    shutil.rmtree(source)
