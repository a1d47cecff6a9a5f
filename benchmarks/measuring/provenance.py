"""Where a measurement comes from: machine, versions, command, commit. None where unknown."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.machine import available_cores

ROOT = Path(__file__).parents[2]
# Before it measures anything: the mean number of running programs over the last minute.
LOAD_BEFORE = os.getloadavg()[0]
# So many for each core make a word worth.
_BUSY = 0.5
PACKAGES = ("torch", "torchvision", "nvidia-dali-cuda120", "numpy", "opencv-python", "webdataset")


def environment() -> dict[str, Any]:
    """Of this process. `cpus` are those that it may use, `load_before` is the machine's when it
    began, `gpus` names the devices that torch sees."""
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": _is_dirty(),
        "cpu": _line_of("/proc/cpuinfo", "model name"),
        "cpus": available_cores(),
        "load_before": LOAD_BEFORE,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "gpus": _gpus(),
        "gpu_driver": _line_of("/proc/driver/nvidia/version", "NVRM version"),
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
    }


def busy_warning() -> str | None:
    """A sentence if other programs were running when this process began."""
    cores = available_cores()
    if _BUSY * cores >= LOAD_BEFORE:
        return None
    return (
        f"The load was {LOAD_BEFORE:.1f} on {cores} cores before this began: other programs make "
        f"it slower than the machine is."
    )


def _is_dirty() -> bool | None:
    """Whether tracked files differ from the commit."""
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return None if changes is None else bool(changes)


def _git(*arguments: str) -> str | None:
    """What git says of the checkout that this code lies in; None if it lies in none."""
    try:
        top = _run("git", "-C", str(ROOT), "rev-parse", "--show-toplevel")
        # An installed package may lie within a checkout of something else.
        if Path(top).resolve() != ROOT.resolve():
            return None
        return _run("git", "-C", str(ROOT), *arguments)
    except (OSError, subprocess.CalledProcessError):
        return None


def _run(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return ended.stdout.strip()


def _gpus() -> list[str] | None:
    """None where torch has not been loaded: a benchmark without it isn't made to wait for it."""
    if "torch" not in sys.modules:
        return None
    import torch

    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]


def _line_of(path: str, name: str) -> str | None:
    """The value of `name` in a file of lines "name: value"."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(name))
    return next(found, None)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
