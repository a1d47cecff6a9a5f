"""Every command and every example of the README runs as it stands there."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
# Commands of benchmarks stand there as for a user; a test needs their course, not their figures.
BRIEFLY = {"BENCH_RUNS": "1", "BENCH_WARMUP": "0", "BENCH_SECONDS": "0.05"}
# What a fresh clone begins with; whoever runs this test has done it.
SET_UP = ("make ", "python3 -m venv", ". .venv", "pip install")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS = [
    line for block in blocks("sh") for line in block.splitlines() if not line.startswith(SET_UP)
]


@pytest.fixture(scope="module")
def folder(digits_kaggle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader stands: kaggle/ and tools/ in sight, shards/ once they are made."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(digits_kaggle, folder / "kaggle")
    (folder / "tools").symlink_to(ROOT / "tools")
    return folder


def start(command: str, folder: Path, output: Path) -> subprocess.Popen[str]:
    environment = (
        os.environ
        | BRIEFLY
        | {
            "VIRTUAL_ENV": sys.prefix,
            "PATH": f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ['PATH']}",
        }
    )
    with output.open("w") as file:
        return subprocess.Popen(
            shlex.split(command), cwd=folder, env=environment, stdout=file, stderr=file, text=True
        )


def test_the_front_page_names_the_three_commands() -> None:
    for command in (
        "tools/shard --src kaggle/ --out shards/",
        "bench-loader --threads 16",
        "torchrun --nproc_per_node 4 -m trainer",
    ):
        assert command in COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, folder: Path, tmp_path: Path) -> None:
    if command.startswith("tools/shard"):
        shutil.rmtree(folder / "shards", ignore_errors=True)
    output = tmp_path / "output"
    process = start(command, folder, output)
    if not re.search("-m trainer( |$)", command):
        assert process.wait() == 0, output.read_text()
        return
    # The recipes last for hours here: let a run begin, then stop it as a person would.
    while "files in" not in output.read_text():
        assert process.poll() is None, output.read_text()
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.wait()
    said = output.read_text()
    assert "Stopped by SIGINT" in said
    if "torchrun" not in command:  # which reports a signal with a traceback of its own
        assert process.returncode == 128 + signal.SIGINT
        assert "Traceback" not in said
    saved = re.search(r"saved in\s+(\S+\.pt)\.", said)
    assert saved and (folder / saved[1]).is_file()


@pytest.mark.filterwarnings("ignore")  # of frameworks about themselves
@pytest.mark.parametrize("example", blocks("python"))
def test_example(
    example: str, digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frameworks = re.findall(r"^(?:import|from) (lightning|accelerate)\b", example, re.MULTILINE)
    for framework in frameworks:
        pytest.importorskip(framework)
    (tmp_path / "shards").symlink_to(digits_shards)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(example, names)
    batches = names["trainer"].train_dataloader if "trainer" in names else names.get("batches")
    state = names["state"] if batches is None else batches.state_dict()
    epochs = 2 if frameworks else 10
    assert 0 <= state["position"] - epochs * 1617 < 256
