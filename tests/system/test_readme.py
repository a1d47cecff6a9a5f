"""Every command and every example of the README and of its pages runs as it stands there."""

import os
import re
import shutil
import signal
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.page_commands import be, write_weights
from tests.helpers.pages import PAGES, ROOT, blocks, commands

TEXTS = [(ROOT / page).read_text() for page in PAGES]

# Each once, in the order of the pages: they build on each other.
COMMANDS = [*dict.fromkeys(command for text in TEXTS for command in commands(text))]


@pytest.fixture(scope="module")
def folder(digits_kaggle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader stands: kaggle/ and tools/ in sight, shards/ once they are made."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(digits_kaggle, folder / "kaggle")
    (folder / "tools").symlink_to(ROOT / "tools")
    write_weights(folder)
    return folder


def test_the_front_page_names_the_three_commands() -> None:
    for command in (
        "tools/shard --src kaggle/ --out shards/",
        "bench-loader --threads 16",
        "torchrun --nproc_per_node 4 -m trainer",
    ):
        assert command in commands(TEXTS[0])


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, folder: Path, tmp_path: Path, loaded: ForkServerContext) -> None:
    if command.startswith("tools/shard"):
        shutil.rmtree(folder / "shards", ignore_errors=True)
    output = tmp_path / "output"
    process = loaded.Process(target=be, args=(command, folder, output))
    process.start()
    if not re.search("(-m trainer|shardline train)( |$)", command):
        process.join()
        assert process.exitcode == 0, output.read_text()
        return
    # The recipes last for hours here: let a run begin, then stop it as a person would.
    while not (output.exists() and "run directory" in output.read_text()):
        assert process.is_alive(), output.read_text()
        time.sleep(0.05)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join()
    said = output.read_text()
    assert "Stopped by SIGINT" in said
    if "torchrun" not in command:  # which reports a signal with a traceback of its own
        assert process.exitcode == 128 + signal.SIGINT
        assert "Traceback" not in said
    saved = re.search(r"saved to\s+(\S+\.pt)\.", said)
    assert saved and (folder / saved[1]).is_file()


@pytest.mark.parametrize("example", [block for text in TEXTS for block in blocks(text, "python")])
def test_example(
    example: str, digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shards").symlink_to(digits_shards)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(example, names)
    assert 0 <= names["state"]["position"] - 10 * 1617 < 256
