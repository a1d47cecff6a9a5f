"""Object stores and a Ray cluster give the same bytes as local files and processes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner

from tests.helpers.console_script import hide_modules, variables, write_script
from tools.cli import main

ROOT = Path(__file__).parents[2]
ARGUMENTS = ("--shard-size", "0.02", "--workers", "2")
# In some eight shards.
SAMPLES = 120


@pytest.fixture(scope="module")
def download(digits_kaggle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few of the digits, since each file is a request to the store."""
    folder = tmp_path_factory.mktemp("few") / "kaggle"
    (folder / "train").mkdir(parents=True)
    header, *rows = (digits_kaggle / "train.csv").read_text().splitlines()
    (folder / "train.csv").write_text("\n".join([header, *rows[:SAMPLES]]) + "\n")
    for row in rows[:SAMPLES]:
        shutil.copy(digits_kaggle / "train" / f"{row.split(',')[0]}.png", folder / "train")
    return folder


@pytest.fixture(scope="module")
def local(download: Path) -> dict[str, bytes]:
    """The shards of the digits in a local folder."""
    out = download.parent / "shards"
    command = ["--src", str(download), "--out", str(out), *ARGUMENTS]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    return {path.name: path.read_bytes() for path in out.iterdir()}


def names_of(url: str) -> list[str]:
    filesystem, root = fsspec.core.url_to_fs(url, skip_instance_cache=True)
    return [str(path) for path in filesystem.find(root)]


def files_of(url: str) -> dict[str, bytes]:
    filesystem, root = fsspec.core.url_to_fs(url, skip_instance_cache=True)
    paths = filesystem.find(root)
    return {path.removeprefix(root).lstrip("/"): filesystem.cat_file(path) for path in paths}


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tools.cli", *arguments, *ARGUMENTS]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_memory_to_memory(download: Path, local: dict[str, bytes]) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(download), "/kaggle", recursive=True)
    command = ["--src", "memory://kaggle", "--out", "memory://shards", *ARGUMENTS]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert files_of("memory://shards") == local


def test_s3_to_s3(download: Path, local: dict[str, bytes], s3: None) -> None:
    filesystem = fsspec.filesystem("s3", skip_instance_cache=True)
    filesystem.put(str(download), "kaggle/digits", recursive=True)
    ended = run("--src", "s3://kaggle/digits", "--out", "s3://kaggle/shards")
    assert ended.returncode == 0, ended.stderr
    assert files_of("s3://kaggle/shards") == local
    again = CliRunner().invoke(main, ["--src", "s3://kaggle/digits", "--out", "s3://kaggle/shards"])
    assert again.exit_code == 2 and "already holds a dataset" in again.output


def test_s3_resumes_after_a_kill(download: Path, local: dict[str, bytes], s3: None) -> None:
    command = [sys.executable, "-m", "tools.cli", "--src", str(download)]
    process = subprocess.Popen(
        [*command, "--out", "s3://kaggle/killed", *ARGUMENTS], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    while not any(name.endswith(".tar.json") for name in names_of("s3://kaggle/killed")):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    files = files_of("s3://kaggle/killed")
    assert ".unfinished/plan.json" in files and "dataset.json" not in files
    ended = run("--src", str(download), "--out", "s3://kaggle/killed")
    assert ended.returncode == 0, ended.stderr
    assert files_of("s3://kaggle/killed") == local


def test_a_missing_bucket_is_named_in_the_error(s3: None) -> None:
    ended = CliRunner().invoke(main, ["--src", "s3://missing/digits", "--out", "s3://kaggle/none"])
    assert ended.exit_code == 1 and "s3://missing/digits" in ended.output


@pytest.mark.long
def test_ray_makes_the_same_bytes_after_a_task_is_killed(
    download: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    """In a folder whose files would hide our modules."""
    pytest.importorskip("ray")
    hide_modules(tmp_path)
    out, script = tmp_path / "shards", write_script(tmp_path / "bin", "shard")
    process = subprocess.Popen(
        [script, "--src", download, "--out", "shards", *ARGUMENTS, "--engine", "ray"],
        cwd=tmp_path,
        env=variables(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list(out.glob(".unfinished/*.tar.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    killed = ray_tasks(process.pid)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    _, errors = process.communicate()
    assert killed and process.returncode == 0, errors
    assert {path.name: path.read_bytes() for path in out.iterdir()} == local


def ray_tasks(session: int) -> list[int]:
    """Ids of the processes in this session that make a shard on Ray."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            same = os.getsid(int(folder.name)) == session
        except OSError:
            continue
        if command.startswith(b"ray::_write_one") and same:
            pids.append(int(folder.name))
    return pids
