"""Machines that lack a package, a library, credentials or a temporary folder: one sentence."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from tests.helpers.shard_runs import photographs
from tools.cli import main
from tools.commands import needs_packages
from tools.workers import start_fork_server


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ModuleNotFoundError("No module named 'cv2'", name="cv2"), "lacks the package cv2. Run"),
        (
            ImportError("libGL.so.1: cannot open shared object file: No such file or directory"),
            "libGL.so.1, which OpenCV or Arrow needs, is missing. Run `apt-get install libgl1`",
        ),
        (
            ImportError("libodd.so.3: cannot open shared object file: No such file or directory"),
            "libodd.so.3, which OpenCV or Arrow needs, is missing. Install its package",
        ),
    ],
)
def test_what_is_not_installed_is_named(error: ImportError, text: str) -> None:
    with pytest.raises(DataError) as caught, needs_packages():
        raise error
    assert text in caught.value.message


def test_a_python_without_the_package_says_the_command(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    python.chmod(0o755)
    shard = Path(__file__).parents[2] / "tools" / "shard"
    environment = {**os.environ, "VIRTUAL_ENV": str(tmp_path)}
    ran = subprocess.run([shard, "--help"], env=environment, capture_output=True, text=True)
    assert ran.returncode == 1 and "Traceback" not in ran.stderr
    assert "older than 3.11 or lacks shardline. Run: pip install -e /" in ran.stderr


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(DataError, match="can be written: set TMPDIR"):
        start_fork_server(())
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / ("x" * 90)))
    with pytest.raises(DataError, match=r"too long .*: set TMPDIR to a shorter one"):
        start_fork_server(())


class NoCredentialsError(Exception):
    """As botocore has it."""

    __module__ = "botocore.exceptions"


class LockedFileSystem(MemoryFileSystem):
    """S3 without credentials."""

    protocol = "s3"
    error: Exception = NoCredentialsError("Unable to locate credentials")

    def _refuse(self, *_: object, **__: object) -> None:
        raise self.error

    find = exists = cat_file = info = _refuse  # type: ignore[assignment]


@pytest.mark.parametrize(
    "error", [NoCredentialsError("Unable to locate credentials"), PermissionError("Access Denied")]
)
def test_s3_without_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setitem(_registry, "s3", LockedFileSystem)
    monkeypatch.setattr(LockedFileSystem, "error", error)
    photographs(tmp_path / "src", count=6)
    advice = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "FSSPEC_S3=", "AWS_ENDPOINT_URL", str(error))
    for src, out, option in (
        ("s3://bucket/download", str(tmp_path / "out"), "--src "),
        (str(tmp_path / "src"), "s3://bucket/shards", "--out "),
    ):
        ran = CliRunner().invoke(main, ["--src", src, "--out", out])
        assert isinstance(ran.exception, SystemExit), ran.exception
        assert all(part in ran.output for part in (option + "s3://bucket", *advice)), ran.output
    with pytest.raises(click.ClickException) as caught:
        Dataset("s3://bucket/shards")
    assert all(part in caught.value.message for part in ("--shards s3://bucket", *advice))
