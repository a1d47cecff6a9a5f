"""Where commands don't run they say so at once, and packages without wheels are not asked for."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pipeline.interrupts import handle_interrupts

ROOT = Path(__file__).parents[2]

# Runs a command as on a system that lacks what it lacks of Linux.
SCRIPT = """
import _signal, os, runpy, sys
module, sys.platform, sys.argv = sys.argv[1], sys.argv[2], sys.argv[3:]
del os.memfd_create, os.sched_getaffinity, os.posix_fadvise
if sys.platform == "win32":
    del _signal.pthread_sigmask, os.pread, os.fork
    for name in ("fcntl", "resource", "termios"):
        sys.modules[name] = None
runpy.run_module(module, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("system", "module", "program"),
    [
        ("win32", "tools.cli", "shard.exe"),
        ("win32", "trainer", "-m"),
        ("darwin", "tools.cli", "-m"),
        ("darwin", "tools.showing.cli", "shard-show"),
        ("darwin", "benchmarks.loader", "bench-loader"),
        ("freebsd14", "trainer.predict", "-m"),
    ],
)
def test_a_command_says_that_it_needs_linux(system: str, module: str, program: str) -> None:
    command = [sys.executable, "-c", SCRIPT, module, system, program, "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ") and f" {system}" in line and "WSL2" in line


def test_other_programs_may_import_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(sys, "argv", ["deploy.py"])
    handle_interrupts()


@pytest.mark.parametrize(("system", "installed"), [("linux", 1), ("darwin", 0), ("win32", 0)])
def test_dali_is_installed_on_linux_only(system: str, installed: int) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [Requirement(text) for text in project["dependencies"]]
    names = [
        requirement.name
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"sys_platform": system})
    ]
    assert sum(name.startswith("nvidia-") for name in names) == installed
    assert {"torch", "webdataset", "opencv-python"} < {*names}
