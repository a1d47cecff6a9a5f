"""Steps on synthetic batches need no DALI."""

import subprocess
import sys
from pathlib import Path

import pytest

SMALL = ("--model", "squeezenet1_1", "--image-size", "32", "--device", "cpu")
COMPUTE = ("benchmarks.compute", *SMALL, "--batch-size", "2", "--seconds", "0.01", "--runs", "1")
TRAINER = ("trainer", *SMALL, "--synthetic", "--global-batch-size", "4", "--epochs", "1e-5")


@pytest.mark.parametrize(
    "command",
    [pytest.param(COMPUTE, marks=pytest.mark.long), TRAINER],
    ids=lambda command: command[0],
)
def test_runs_where_dali_is_not_installed(command: tuple[str, ...], tmp_path: Path) -> None:
    module, *arguments = command
    if module == "trainer":
        arguments += ["--out", str(tmp_path / "run")]
    script = (
        "import runpy, sys\n"
        "sys.modules['nvidia.dali'] = None  # an import of it fails\n"
        f"sys.argv = {[module, *arguments]!r}\n"
        f"runpy.run_module({module!r}, run_name='__main__')\n"
    )
    command_line = [sys.executable, "-c", script]
    run = subprocess.run(command_line, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
