"""The steps of deploy/Dockerfile, run without Docker: what they install is complete.

All commands run for a user id without a name and a home, in another folder, and can't write to the
installation. The packages of others come from this environment; with make test-long they are
installed as the Dockerfile says.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import pytest

from tests.helpers.dockerfile import Image, build, ignored, instructions
from tests.helpers.small_downloads import picture
from tools.commands import SYSTEM_PACKAGES

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SCRIPTS = sorted(PROJECT["project"]["scripts"])
PACKAGES = ("pipeline", "tools", "trainer", "benchmarks", "shardline")
# Files of a clone that an installation does without: its commands have other names there.
ONLY_IN_CLONES = {*(f"tools/{name}" for name in ("shard", "check", "show", "python.sh"))}
# Neither a package index nor the packages of others.
OFFLINE = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
# A user id that no system has a name for; it may read what root may, as in an image.
STRANGER = (
    *("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
# Free disk in bytes that an installation with all packages needs, and leaves.
INSTALLED_BYTES, LEFT_PART = 12 * 2**30, 0.1


@dataclass
class Installed:
    """An environment that has the wheel, and the image that it stands for."""

    python: Path
    image: Image

    def run(self, *words: object, folder: Path, **variables: str) -> str:
        """Run a command for a stranger in `folder`, with no other variables; its output."""
        command = [*stranger(), *map(str, words)]
        path = f"{self.python.parent}:/usr/bin:/bin"
        ended = subprocess.run(
            command,
            cwd=folder,
            env={"PATH": path, "TMPDIR": str(folder), **variables},
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, f"{command}: {ended.stdout[-2000:]}{ended.stderr[-4000:]}"
        return ended.stdout


@cache
def stranger() -> Sequence[str]:
    """What starts a command as STRANGER; nothing where this process may not."""
    try:
        return STRANGER if not subprocess.run([*STRANGER, "true"], check=False).returncode else ()
    except FileNotFoundError:
        return ()


def install(folder: Path, *, offline: bool) -> Installed:
    """Run the steps of the Dockerfile in a new environment, which nobody can write to then."""
    home = folder / "environment"
    venv.create(home, with_pip=not offline)
    if offline:
        (packages,) = home.glob("lib/python*/site-packages")
        (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {
        "PATH": f"{home / 'bin'}:/usr/bin:/bin",
        "HOME": str(folder),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
        **(OFFLINE if offline else {}),
    }
    image = build(ROOT, DOCKERFILE, folder / "image", environment)
    subprocess.run(["chmod", "-R", "a-w", home], check=True)
    return Installed(home / "bin" / "python", image)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("container"), offline=True)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder that a stranger may write to."""
    tmp_path.chmod(0o777)
    return tmp_path


def named_modules() -> list[str]:
    """The modules that README.md names as commands."""
    text = (ROOT / "README.md").read_text()
    named = {*re.findall(r"(?:python|torchrun[^\n`|]*) -m (\w+(?:\.\w+)*)", text)}
    return sorted(named | {*re.findall(r"`(trainer\.(?!py`)\w+)`", text)})


def test_every_command_runs(installed: Installed, elsewhere: Path) -> None:
    modules = named_modules()
    assert {"trainer", "trainer.evaluate", "trainer.export"} < {*modules}
    commands = [(name,) for name in SCRIPTS] + [("python", "-m", name) for name in modules]
    commands += [("python", "-m", "benchmarks.peers"), ("python", "-m", "benchmarks.demo")]

    def help_of(command: tuple[str, ...]) -> str:
        return installed.run(*command, "--help", folder=elsewhere)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for command, text in zip(commands, threads.map(help_of, commands), strict=True):
            assert "Usage:" in text, command


@pytest.mark.long
def test_from_a_download_to_an_evaluation(installed: Installed, elsewhere: Path) -> None:
    """With the variables of the image, in which the home is a folder for temporary files."""
    variables = installed.image.variables
    home = Path(variables["HOME"])
    home.mkdir(exist_ok=True)
    home.chmod(0o777)
    train(installed, elsewhere, **variables)
    assert list(home.iterdir())  # a cache


def train(installed: Installed, folder: Path, **variables: str) -> None:
    where = (
        "import getpass, pipeline, sys, tools, trainer; "
        "print(getpass.getuser(), {module.__file__.startswith(sys.prefix) "
        "for module in (pipeline, tools, trainer)})"
    )
    out = installed.run("python", "-c", where, folder=folder, **variables)
    assert out.split() == [variables["USER"], "{True}"]
    for number in range(12):
        image = folder / "kaggle" / f"class{number % 2}" / f"{number}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(picture(image.name, number))
    shard = ("shard", "--src", "kaggle", "--out", "shards", "--workers", "1", "--val", "0.5")
    assert "Wrote shards" in installed.run(*shard, folder=folder, **variables)
    model = ("--model", "resnet8", "--device", "cpu", "--threads", "1")
    step = ("--global-batch-size", "2", "--epochs", "0.4", "--out", "run")
    installed.run("python", "-m", "trainer", *model, *step, folder=folder, **variables)
    evaluate = ("python", "-m", "trainer.evaluate", "run")
    assert '"top1"' in installed.run(*evaluate, folder=folder, **variables)
    assert (folder / "run" / "confusion.png").exists()


def test_the_wheel_has_all_files(installed: Installed) -> None:
    (wheel,) = installed.image.place("/opt/shardline/dist", "wheel").glob("*.whl")
    tracked = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and "results" not in path.parts
    }
    names = {*zipfile.ZipFile(wheel).namelist()}
    assert tracked - names == ONLY_IN_CLONES
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {*PACKAGES}


def test_scripts_are_those_of_the_project(installed: Installed) -> None:
    assert {*SCRIPTS} < {path.name for path in installed.python.parent.iterdir()}


@pytest.mark.long
def test_a_real_installation(tmp_path: Path) -> None:
    """With packages from the index, 8 GB."""
    disk = shutil.disk_usage(tmp_path)
    if disk.free - INSTALLED_BYTES < LEFT_PART * disk.total:
        pytest.skip("needs 12 GiB, and a tenth of the disk beside them")
    probe = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "click"]
    if subprocess.run([*probe, "--dest", tmp_path / "probe"], check=False).returncode:
        pytest.skip("the package index can't be reached")
    real = install(tmp_path, offline=False)
    folder = tmp_path / "work"
    folder.mkdir()
    folder.chmod(0o777)
    Path(real.image.variables["HOME"]).mkdir(exist_ok=True)
    Path(real.image.variables["HOME"]).chmod(0o777)
    try:
        train(real, folder, **real.image.variables)
        torchrun = ("torchrun", "--nproc_per_node", "2", "-m", "trainer", "--help")
        assert "Usage:" in real.run(*torchrun, folder=folder, **real.image.variables)
        doctor = ("bench-loader", "--doctor", "--batch-size", "1", "--threads", "1")
        out = real.run(*doctor, folder=folder, **real.image.variables)
        assert "This process may use" in out
    finally:
        subprocess.run(["chmod", "-R", "u+w", real.python.parents[1]], check=True)
        shutil.rmtree(real.python.parents[1])


def test_the_dockerfile() -> None:
    steps = [*instructions(DOCKERFILE.read_text())]
    last = dict(steps)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last["USER"])
    bases = {words.partition(" AS ")[0] for name, words in steps if name == "FROM"}
    (base,) = bases
    tags = dict(words.split("=") for name, words in steps if name == "ARG")
    assert base == "python:${PYTHON}" and re.match(r"\d+\.\d+\.\d+-", tags["PYTHON"])
    version = tuple(map(int, tags["PYTHON"].split(".")[:2]))
    assert version >= tuple(
        int(number) for number in re.findall(r"\d+", PROJECT["project"]["requires-python"])
    )
    kept, _ = ignored(ROOT)
    assert {*PACKAGES, "pyproject.toml", "constraints.txt"} < {*kept}
    assert {name for name in kept if not (ROOT / name).exists()} == set()


def test_the_image_has_the_libraries_of_opencv(installed: Installed) -> None:
    (command,) = installed.image.left_out
    listed = subprocess.run(
        ["ldd", *Path(cv2.__file__).parent.glob("cv2*.so")], capture_output=True, text=True
    )
    needed = {package for library, package in SYSTEM_PACKAGES.items() if library in listed.stdout}
    assert "libgl1" in needed and needed <= {*command.split()}


def test_make_builds_the_same_wheel() -> None:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    command = ["make", "--dry-run", "wheel"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (built,) = re.findall(r"-m (pip wheel .*)", lines)
    assert f"RUN python -m {built}\n" in DOCKERFILE.read_text()


@pytest.mark.parametrize("device", ["gpu", "CPU", ""])
def test_another_device_is_refused(device: str) -> None:
    commands = [words for name, words in instructions(DOCKERFILE.read_text()) if name == "RUN"]
    (chosen,) = [words for words in commands if "$DEVICE" in words]
    (case,) = re.findall(r"case .*? esac", chosen)
    ended = subprocess.run(
        ["sh", "-c", case], env={"DEVICE": device}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2 and ended.stderr == f"DEVICE is cuda or cpu, not {device}.\n"
