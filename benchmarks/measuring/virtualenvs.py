"""Environments for what is measured beside us: the peers', since what they pin does not go together
with what we use, and Keras's, since nothing else needs what it takes (1.5 GB)."""

import json
import os
import re
import site
import subprocess
import tempfile
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import click

from benchmarks.measuring.provenance import ROOT
from pipeline.errors import DataError
from pipeline.storage.cache_eviction import cache_root

# Apart from the cache of shards, which removes what lies in its folder when it needs room.
CACHE = cache_root(None).with_name("shardline-benchmarks")
DEFAULT_FOLDER = CACHE / "peers"
KERAS_FOLDER = CACHE / "keras"
KERAS_PACKAGES = ("tensorflow-cpu", "keras")
# What decodes and encodes is the same as ours; OpenCV in a build without windows, for machines
# without a screen.
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
class PeerEnvironment:
    """A virtual environment in `folder`; `missing` says why a peer is not in it, `versions` holds
    those of the others and of what encodes for them."""

    folder: Path
    missing: Mapping[str, str]
    versions: Mapping[str, str]

    @property
    def python(self) -> str:
        return str(_python(self.folder))

    def command(self, *arguments: str) -> list[str]:
        """``python -m`` with these arguments; needs `variables`."""
        return [self.python, "-P", "-m", *arguments]

    def variables(self, scratch: Path) -> dict[str, str]:
        """Our modules are found, and temporary files lie in `scratch`, where nobody else's are."""
        return os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}


def prepare(folder: Path, peers: Sequence[str]) -> PeerEnvironment:
    """Make the environment, install what it lacks of `peers`, one after the other."""
    if not _python(folder).exists():
        _make(folder, "for the peers")
    missing = {}
    for peer in peers:
        if peer not in installed(folder) and (reason := _install(folder, peer, *_pins())):
            missing[peer] = reason
    found = installed(folder)
    named = dict.fromkeys([*peers, *PINNED, "numpy"])
    return PeerEnvironment(
        folder=folder,
        missing=missing,
        versions={name: found[name] for name in named if name in found},
    )


def prepare_keras(folder: Path) -> PeerEnvironment:
    """Make the environment of Keras in `folder`: TensorFlow and Keras, and behind them our own
    packages. Where those hold TensorFlow already (``[tensorflow]``), nothing is installed."""
    if not _python(folder).exists():
        _make(folder, "for Keras")
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "shardline.pth").write_text("".join(f"{path}\n" for path in site.getsitepackages()))
    missing = {}
    for package in KERAS_PACKAGES:
        constraints = ("--constraint", str(ROOT / "constraints.txt"))
        if package not in installed(folder) and (reason := _install(folder, package, *constraints)):
            missing[package] = reason
    found = installed(folder)
    named = (*KERAS_PACKAGES, "torch", "numpy")
    versions = {name: found[name] for name in named if name in found}
    return PeerEnvironment(folder=folder, missing=missing, versions=versions)


def _make(folder: Path, whose: str) -> None:
    click.echo(f"Making an environment {whose} in {folder}.", err=True)
    try:
        venv.create(folder, with_pip=True)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise DataError(f"No environment {whose} can be made in {folder}: {error}") from error


def _pins() -> list[str]:
    return [f"{name}=={version(ours).partition('+')[0]}" for name, ours in PINNED.items()]


def installed(folder: Path) -> dict[str, str]:
    """Package -> version of the environment in `folder`; empty where there is none."""
    if not _python(folder).exists():
        return {}
    command = [str(_python(folder)), "-c", _VERSIONS]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {str(name): str(number) for name, number in json.loads(found).items()}


def _install(folder: Path, *packages: str) -> str:
    """Why it failed, or nothing."""
    click.echo(f"Installing {packages[0]} there, which may take minutes.", err=True)
    with tempfile.TemporaryFile("w+") as log:
        command = [str(_python(folder)), "-m", "pip", "install", *packages]
        code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
        log.seek(0)
        lines = log.read().splitlines()
    # What a build raised says more than pip's own last line.
    errors = [line.strip() for line in lines if "ERROR" in line]
    errors += [line.strip() for line in lines if re.match(r"\s*\w+Error: ", line)]
    if code == 0:
        return ""
    return f"not installed: {errors[-1] if errors else f'pip ended with code {code}'}"


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"
