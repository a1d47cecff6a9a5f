"""make demo installs what the demo needs, and make test the rest on top of it."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETUP = ("Makefile", "pyproject.toml", "constraints.txt")
STAMPS = {"demo": ".venv/demo", "dev": ".venv/dev"}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files of a clone that the set-up reads."""
    if shutil.which("make") is None:
        pytest.skip("needs make")
    for name in SETUP:
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    return tmp_path


def installed_by(clone: Path, *targets: str) -> list[str]:
    """The extras that make would install, in their order."""
    command = ["make", "--dry-run", *targets]
    run = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True)
    return re.findall(r"pip install .*'\.\[(\w+)\]'", run.stdout)


@pytest.mark.parametrize(
    ("targets", "done", "extras"),
    [
        (["demo"], [], ["demo"]),
        (["test"], [], ["demo", "dev"]),
        (["lint"], ["demo"], ["dev"]),
        (["test"], ["demo"], ["dev"]),
        (["demo"], ["demo", "dev"], []),
        (["demo", "test"], [], ["demo", "dev"]),
        (["test", "demo"], ["demo", "dev"], []),
    ],
)
def test_make_installs_the_extras_that_are_missing(
    clone: Path, targets: list[str], done: list[str], extras: list[str]
) -> None:
    for extra in done:
        (clone / STAMPS[extra]).touch()
    assert installed_by(clone, *targets) == extras


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_make_installs_again_what_has_changed(clone: Path, changed: str) -> None:
    """Such as a new console script."""
    for stamp in STAMPS.values():
        (clone / stamp).touch()
    later = (clone / STAMPS["dev"]).stat().st_mtime + 1
    os.utime(clone / changed, (later, later))
    assert installed_by(clone, "test") == ["demo", "dev"]


def test_dev_has_what_demo_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    own = [line for line in project["optional-dependencies"]["dev"] if "shardline[" in line]
    assert "demo" in re.findall(r"\w+", " ".join(line.partition("[")[2] for line in own))
