"""A run that was killed and resumed makes the same bytes as an undisturbed run."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner, Result

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from tests.helpers.amounts import full_or_tenth
from tools.cli import main
from tools.download.file_index import index_files

ROOT = Path(__file__).parents[2]
KILLS = full_or_tenth(80)
# Many shards, with some work in each.
ARGUMENTS = ("--encode", "jpeg", "--shard-size", "0.1", "--max-rejected", "0.1")


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Smooth noise in three class folders; two files are damaged."""
    folder = tmp_path_factory.mktemp("resume") / "kaggle"
    generator = np.random.default_rng(1)
    for number in range(240):
        coarse = generator.integers(0, 256, (7, 7, 3), np.uint8)
        path = folder / f"class{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(coarse, (260, 220), interpolation=cv2.INTER_CUBIC))
    for number in (7, 100):
        path = folder / f"class{number % 3}" / f"{number}.png"
        path.write_bytes(path.read_bytes()[:900])
    return folder


@pytest.fixture(scope="module")
def undisturbed(download: Path) -> dict[str, bytes]:
    result = shard(download, download.parent / "undisturbed", "--workers", "1")
    assert result.exit_code == 0, result.output
    files = contents(download.parent / "undisturbed")
    assert sum(name.endswith(".tar") for name in files) > 10
    return files


def shard(src: Path, out: Path, *arguments: str) -> Result:
    pairs = zip(ARGUMENTS[::2], ARGUMENTS[1::2], strict=True)
    fixed = [word for pair in pairs if pair[0] not in arguments for word in pair]
    command = ["--src", str(src), "--out", str(out), *fixed, *arguments]
    result = CliRunner().invoke(main, command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "scratch" not in path.parts
    }


def start(src: Path, out: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tools.cli", "--src", src, "--out", out, "--workers", "2"]
    return subprocess.Popen(
        [*command, *ARGUMENTS],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_kills_at_random_moments(
    download: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    chance = random.Random(5)
    began = time.monotonic()
    process = start(download, tmp_path / "timed")
    assert process.communicate()[1] == "" and process.returncode == 0
    whole_seconds = time.monotonic() - began
    kills = completed = kept = 0
    out = tmp_path / "out0"
    while kills < KILLS or not completed:
        process = start(download, out)
        seconds = chance.uniform(0.25, 1.0) * whole_seconds
        try:
            # A machine that has become busy would complete no run in this time.
            process.wait(timeout=None if kills >= KILLS else seconds)
        except subprocess.TimeoutExpired:
            # Kill only the parent, whose workers must then exit, or the whole group.
            (os.kill if chance.random() < 0.5 else os.killpg)(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            kept += len(list(out.glob("*.tar")))
            assert (
                not (out / "dataset.json").exists() or contents(out).items() >= undisturbed.items()
            )
        else:
            assert process.communicate()[1] == "" and process.returncode == 0
            completed += 1
            assert contents(out) == undisturbed
        if (out / "dataset.json").exists():
            out = tmp_path / f"out{kills + completed}"
    assert kept, "no kill came after a finished shard"


def test_other_arguments_can_not_resume(download: Path, tmp_path: Path) -> None:
    out = half_done(download, tmp_path / "out")
    before = contents(out)
    result = shard(download, out, "--quality", "80")
    assert result.exit_code == 2 and "--quality was 92, now 80" in result.output
    assert contents(out) == before
    assert shard(download, out, "--workers", "1").exit_code == 0


def test_a_changed_download_can_not_resume(download: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(download, tmp_path / "kaggle"))
    out = half_done(source, tmp_path / "out")
    (source / "class0" / "0.png").unlink()
    result = shard(source, out)
    assert result.exit_code == 2 and "the download has changed since" in result.output


def test_finished_shards_are_not_written_again(
    download: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = half_done(download, tmp_path / "out")
    names = [path.stem for path in out.glob(".unfinished/*.tar.json")]
    finished = {out / name: (out / name).stat().st_mtime_ns for name in names}
    assert 0 < len(finished) < sum(name.endswith(".tar") for name in undisturbed)
    assert shard(download, out).exit_code == 0
    assert contents(out) == undisturbed
    assert all(path.stat().st_mtime_ns == when for path, when in finished.items())


def test_a_higher_max_rejected_resumes(download: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = shard(download, out, "--max-rejected", "0.005")
    assert result.exit_code == 1 and "more than --max-rejected" in result.output
    assert shard(download, out, "--max-rejected", "0.01").exit_code == 0
    assert Dataset(out).manifest.rejected == 2


def half_done(source: Path, out: Path) -> Path:
    """The output of a run that was killed after some shards."""
    process = start(source, out)
    while len(list(out.glob(".unfinished/*.json"))) < 4:
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert json.loads((out / ".unfinished" / "plan.json").read_text())["arguments"]
    return out


def test_a_file_that_changes_while_it_is_read_stops_the_run(tmp_path: Path) -> None:
    source = tmp_path / "kaggle"
    for name in ("a", "b"):
        (source / name).mkdir(parents=True)
        for number in range(60):
            cv2.imwrite(str(source / name / f"{number}.png"), np.full((400, 400), number, np.uint8))
    index = index_files(str(source))
    path = source / "b" / "59.png"
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(DataError, match=r"b/59\.png changed while the download was read"):
        list(index.take(np.arange(120)).load(2**20))
    path.unlink()
    with pytest.raises(DataError, match=r"b/59\.png can't be read: No such file"):
        list(index.take(np.arange(120)).load(2**20))


def test_an_unreadable_file_stops_the_run_and_keeps_the_work(
    download: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    names = parquet.read_table(download.parent / "undisturbed" / "val.sources.parquet")
    path = download / names.column("source")[-1].as_py()
    result = run_without(path, download, tmp_path / "out")
    assert result.returncode == 1 and f"{path} can't be read" in result.stderr, result.stderr
    assert list((tmp_path / "out").glob("train-*.tar"))
    assert shard(download, tmp_path / "out").exit_code == 0
    assert contents(tmp_path / "out") == undisturbed


def run_without(path: Path, source: Path, out: Path) -> "subprocess.CompletedProcess[str]":
    """A run in which `path` is missing from the first shard to the end."""
    away = path.with_suffix(".away")
    process = start(source, out)
    while not list(out.glob(".unfinished/*.tar.json")):
        assert process.poll() is None
        time.sleep(0.002)
    path.rename(away)
    _, errors = process.communicate()
    away.rename(path)
    return subprocess.CompletedProcess([], process.returncode, "", errors)
