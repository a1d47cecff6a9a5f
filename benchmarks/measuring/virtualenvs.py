"""Virtualenvs for the peers, whose pinned dependencies conflict with ours, and for Keras, which
needs 1.5 GB that nothing else needs."""

import json
import re
import site
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from benchmarks.measuring.provenance import ROOT
from pipeline.child_process import module_command, module_variables
from pipeline.console import print_line
from pipeline.errors import DataError
from pipeline.storage.cache_eviction import user_cache

# Outside of the cache of shards, which deletes files in its folder when it needs room.
CACHE = (user_cache() or Path(".cache")) / "shardline-benchmarks"
DEFAULT_FOLDER = CACHE / "peers"
KERAS_FOLDER = CACHE / "keras"
KERAS_PACKAGES = ("tensorflow-cpu", "keras")
# The peers decode and encode by the same versions as we do; OpenCV in a build without windows, for
# machines without a screen.
PINNED = {
    "opencv-python-headless": "opencv-python",
    "pillow": "pillow",
    "torch": "torch",
    "torchvision": "torchvision",
}
_VERSIONS = (
    "import importlib.metadata as m, json;"
    "print(json.dumps({d.name.replace('_', '-'): d.version for d in m.distributions()}))"
)


@dataclass(frozen=True, kw_only=True)
class Virtualenv:
    """An interpreter and its packages.

    Attributes:
        python: path of the interpreter, by default this process's.
        missing: package -> reason of each that could not be installed.
        versions: package -> version of the requested packages and the encoders.
    """

    python: str = sys.executable
    missing: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> list[str]:
        """``python -m`` with these arguments; needs `variables`."""
        return module_command(*arguments, python=self.python)

    def variables(self, scratch: Path) -> dict[str, str]:
        """Environment variables that make our modules importable, with temporary files in
        `scratch`."""
        return module_variables(PYTHONPATH=str(ROOT), TMPDIR=str(scratch))


def prepare_peers(folder: Path, packages: Sequence[str]) -> Virtualenv:
    """Create the peers' virtualenv in `folder` and install those of `packages` that it lacks."""
    _create(folder, "the peers")
    pins = [f"{name}=={version(ours).partition('+')[0]}" for name, ours in PINNED.items()]
    return _install_missing(folder, packages, pins, also_list=(*PINNED, "numpy"))


def prepare_keras(folder: Path) -> Virtualenv:
    """Create a virtualenv of TensorFlow and Keras in `folder` that falls back to our own packages;
    it installs nothing if those include TensorFlow (``[tensorflow]``)."""
    _create(folder, "Keras")
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "shardline.pth").write_text("".join(f"{path}\n" for path in site.getsitepackages()))
    file = ROOT / "constraints.txt"
    # An installed package has none.
    constraints = ("--constraint", str(file)) if file.exists() else ()
    return _install_missing(folder, KERAS_PACKAGES, constraints, also_list=("torch", "numpy"))


def installed_versions(folder: Path) -> dict[str, str]:
    """Package -> version in the virtualenv in `folder`; empty if there is no virtualenv."""
    if not _python(folder).exists():
        return {}
    command = [str(_python(folder)), "-P", "-c", _VERSIONS]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {str(name): str(number) for name, number in json.loads(printed).items()}


def _create(folder: Path, users: str) -> None:
    if _python(folder).exists():
        return
    print_line(f"Creating a virtualenv for {users} in {folder}.", err=True)
    try:
        venv.create(folder, with_pip=True)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise DataError(
            f"The virtualenv for {users} can't be created in {folder}: {error}. Give another "
            f"folder by --environment."
        ) from error


def _install_missing(
    folder: Path, packages: Sequence[str], pip_arguments: Sequence[str], also_list: Sequence[str]
) -> Virtualenv:
    """One package after the other, so that one that fails does not keep out the others."""
    missing = {}
    for package in packages:
        if package not in installed_versions(folder) and (
            reason := _install(folder, package, *pip_arguments)
        ):
            missing[package] = reason
    versions = installed_versions(folder)
    listed = dict.fromkeys((*packages, *also_list))
    return Virtualenv(
        python=str(_python(folder)),
        missing=missing,
        versions={name: versions[name] for name in listed if name in versions},
    )


def _install(folder: Path, *packages: str) -> str:
    """The reason of a failure, or ""."""
    print_line(f"Installing {packages[0]}, which may take minutes.", err=True)
    command = module_command("pip", "install", *packages, python=str(_python(folder)))
    with tempfile.TemporaryFile("w+") as log:
        code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
        log.seek(0)
        lines = log.read().splitlines()
    if code == 0:
        return ""
    # The exception of a build explains more than pip's own last line.
    errors = [line.strip() for line in lines if "ERROR" in line]
    errors += [line.strip() for line in lines if re.match(r"\s*\w+Error: ", line)]
    return f"not installed: {errors[-1] if errors else f'pip exited with code {code}'}"


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"
