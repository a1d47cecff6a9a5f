"""Provenance of a measurement: machine, versions, command, commit."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.limits.cores import available_cores
from pipeline.versions import installed_version

ROOT = Path(__file__).parents[2]
# Load average of the last minute, read before anything is measured.
LOAD_BEFORE = os.getloadavg()[0]
# Load per core above which a warning is printed.
_BUSY_LOAD_PER_CORE = 0.5
PACKAGES = ("torch", "torchvision", "numpy", "opencv-python", "webdataset")
# Builds of DALI; one of them is installed.
DALI_PACKAGES = ("nvidia-dali-cuda120", "nvidia-dali-cuda130")


def environment() -> dict[str, Any]:
    """Facts about the machine, the versions and this process; None where a fact is unknown.

    `cpus`: number of cores that this process may use; `load_before`: load average when it started;
    `gpus`: names of the devices that torch sees.
    """
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
        **{package: installed_version(package) for package in PACKAGES},
        **{package: found for package in DALI_PACKAGES if (found := installed_version(package))},
    }


def busy_warning() -> str | None:
    """A warning if other programs were running when this process started."""
    # The load is the machine's, not that of the cores that this process may use.
    cores = os.cpu_count() or 1
    if _BUSY_LOAD_PER_CORE * cores >= LOAD_BEFORE:
        return None
    return (
        f"The load was {LOAD_BEFORE:.1f} on {cores} cores before the benchmark started: other "
        f"programs slowed it down."
    )


def _is_dirty() -> bool | None:
    """Whether tracked files differ from the commit."""
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return None if changes is None else bool(changes)


def _git(*arguments: str) -> str | None:
    """Output of a git command in the checkout of this code; None without such a checkout."""
    try:
        top = _run("git", "-C", str(ROOT), "rev-parse", "--show-toplevel")
        # An installed package can be inside a checkout of another project.
        if Path(top).resolve() != ROOT.resolve():
            return None
        return _run("git", "-C", str(ROOT), *arguments)
    except (OSError, subprocess.CalledProcessError):
        return None


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _gpus() -> list[str] | None:
    """Names of the GPUs; None if torch is not imported, which takes seconds."""
    if "torch" not in sys.modules:
        return None
    import torch

    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]


def _line_of(path: str, name: str) -> str | None:
    """The value of `name` in a file of lines "name: value"; None if there is none."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    values = (line.partition(":")[2].strip() for line in lines if line.startswith(name))
    return next(values, None)
