"""An append that is killed at any moment: what stood is readable, and the same command ends with
the same bytes."""

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import MANIFEST_NAME
from tests.helpers.amounts import LONG, all_or_tenth
from tests.helpers.checking import check
from tests.helpers.full_disk import run_on_full_disk
from tests.helpers.growing import grow
from tests.helpers.shard_runs import contents, made, shard
from tests.helpers.tiny_trainer import train
from tools.writing.output_folder import Store

ROOT = Path(__file__).parents[3]
# Shards of two or three samples.
SMALL = ("--shard-size", "0.008", "--workers", "1")
KILLS = 30
# One for each change of a file in the output.
CHANGES: list[object] = []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A download that has grown since `before`, and `after` an append."""
    folder = tmp_path_factory.mktemp("killed")
    made(grow(folder / "src", range(12)), folder / "before", *SMALL)
    grow(folder / "src", range(12, 28))
    shutil.copytree(folder / "before", folder / "after")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("put", "remove"):
            patch.setattr(Store, name, counted(getattr(Store, name), CHANGES))
        made(folder / "src", folder / "after", "--append", "--workers", "1")
    return folder


def counted(method: Callable[..., None], calls: list[object]) -> Callable[..., None]:
    def count(*arguments: object) -> None:
        calls.append(None)
        method(*arguments)

    return count


@pytest.mark.parametrize("seed", all_or_tenth(range(KILLS)))
def test_a_kill(seed: int, folder: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(folder / "before", tmp_path / "out"))
    # A part of the range for each, so that they spread over the whole append.
    moment = int((seed + random.Random(seed).random()) / KILLS * len(CHANGES))
    words = ["--src", str(folder / "src"), "--out", str(out), "--append", "--workers", "1"]
    command = [sys.executable, "-m", "tests.helpers.growing", str(moment), *words]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == -9, ended.stdout + ended.stderr
    now = (out / MANIFEST_NAME).read_bytes()
    assert now in [(folder / name / MANIFEST_NAME).read_bytes() for name in ("before", "after")]
    assert check(out).exit_code == 0
    dataset = Dataset(out)
    assert all(len(dataset.split(name)) for name in dataset.manifest.splits)
    if LONG:
        settings = {"epochs": 1.0, "global_batch_size": 4, "image_size": 32}
        train(shards=str(out), out=str(tmp_path / "run"), **settings)
    assert shard(folder / "src", out, "--append", "--workers", "1").exit_code == 0
    assert contents(out) == contents(folder / "after")


@pytest.mark.long
def test_a_full_disk(folder: Path, tmp_path: Path) -> None:
    """A shard, the tables or the manifest is cut off."""
    out = Path(shutil.copytree(folder / "before", tmp_path / "out"))
    before = contents(out)
    words = ["--src", folder / "src", "--out", out, "--append", "--workers", "1"]
    command = [sys.executable, "-P", "-m", "tools.cli", *words, "--shard-size", "1"]
    ended = run_on_full_disk(command)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"Error: {out}: File too large. Free space on that disk. {out} is as it was. The same "
        f"command resumes from the finished shards.\n"
    )
    assert {name: data for name, data in contents_of_files(out).items() if name in before} == before
    assert check(out).exit_code == 0


def contents_of_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
