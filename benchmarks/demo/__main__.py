"""make demo: the handwritten digits of scikit-learn, from a Kaggle folder to a figure of the
bottleneck. It runs the commands that a user would type."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.demo import write_digits
from benchmarks.demo.figure import DemoResult, draw_result
from benchmarks.measuring.provenance import ROOT
from pipeline.console import print_line
from pipeline.errors import DataError
from pipeline.options import Command
from trainer.plotting.curves import open_runs

TARGET_TOP1 = 0.97

# Digits are not mirrored, and a small crop does not show which digit it is.
AUGMENTATION = [
    "--flip-probability",
    "0",
    "--crop-area",
    "0.6",
    "1",
    "--crop-ratio",
    "0.85",
    "1.18",
]
# A short measurement is long enough for images of 8 px.
LOADER = ("--seconds", "0.2")
# A small dataset needs a small batch size: 45 steps per epoch.
RECIPE = ["--epochs", "15", "--global-batch-size", "32", "--learning-rate", "0.16"]


@click.command(cls=Command)
@click.option("--out", type=Path, default=Path("demo"), show_default=True, help="Output folder.")
def main(out: Path) -> None:
    """Write a Kaggle download, shard it, measure the loader, train ResNet-50, and draw one
    figure."""
    seconds: dict[str, float] = {}
    kaggle, shards, run = out / "kaggle", out / "shards", out / "run"
    for folder in (kaggle, shards, run):
        shutil.rmtree(folder, ignore_errors=True)
    write_digits(kaggle)
    _run(seconds, "tools/shard", "--src", kaggle, "--out", shards, "--val", "0.2")
    output = _run(seconds, "bench-loader", "--shards", shards, *LOADER, *AUGMENTATION)
    trainer = ("python", "-m", "trainer", "--shards", shards, "--out", run)
    _run(seconds, *trainer, *RECIPE, *AUGMENTATION)
    (training,) = open_runs([run])
    result = DemoResult(
        run=training,
        loader_rate=json.loads(output.splitlines()[-1])["median"]["full"],
        command_seconds=seconds,
    )
    figure = out / "demo.png"
    draw_result(result, figure)
    print_line(f"\n{result.finding()}.\nFigure: {figure.resolve()}")
    if training.best < TARGET_TOP1:
        raise DataError(
            f"The best validation top-1 is {training.best:.2%}, below the {TARGET_TOP1:.0%} that "
            f"the demo reaches elsewhere: this installation does not train correctly."
        )


def _run(seconds: dict[str, float], *command: Any) -> str:
    """Print and run a command, add its wall time to `seconds`, and return its output."""
    words = [str(word) for word in command]
    print_line(f"\n$ {' '.join(words)}")
    environment = os.environ | {
        "VIRTUAL_ENV": sys.prefix,
        "PATH": f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ['PATH']}",
    }
    if "/" in words[0]:
        words[0] = str(ROOT / words[0])
    start, lines = time.perf_counter(), []
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    seconds[str(command[0])] = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(process.returncode)
    return "".join(lines)


if __name__ == "__main__":
    main()
