"""make demo: the handwritten digits of scikit-learn, from a Kaggle folder to a figure of what
sharding gains and what the limit is. It runs the commands that a user would type."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.datasets.run_shard import shard_program
from benchmarks.demo import write_digits
from benchmarks.demo.compare import DOWNLOAD, SHARDS
from benchmarks.demo.figure import DemoResult, draw_result
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.result_file import read_bundle
from pipeline.child_process import module_variables
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
STAGES = ("--seconds", "0.2", "--runs", "3")
# A small dataset needs a small batch size: 45 steps per epoch.
BATCH_SIZE = "32"
RECIPE = ["--epochs", "10", "--global-batch-size", BATCH_SIZE, "--learning-rate", "0.16"]


@click.command(cls=Command)
@click.option("--out", type=Path, default=Path("demo"), show_default=True, help="Output folder.")
def main(out: Path) -> None:
    """Write a Kaggle download, shard it, measure what sharding gains, the loader and its stages,
    train ResNet-50, and draw one figure."""
    kaggle, shards, run = out / "kaggle", out / "shards", out / "run"
    for folder in (kaggle, shards, run):
        shutil.rmtree(folder, ignore_errors=True)
    write_digits(kaggle)
    seconds: dict[str, float] = {}
    _run(seconds, "sharding", "tools/shard", "--src", kaggle, "--out", shards, "--val", "0.2")
    compare = ("python", "-m", "benchmarks.demo.compare", "--src", kaggle, "--shards", shards)
    compared = out / "compare.json"
    _run(seconds, "loaders", *compare, "--batch-size", BATCH_SIZE, "--output", compared)
    _run(seconds, "loaders", "bench-loader", "--shards", shards, *STAGES, *AUGMENTATION)
    trainer = ("python", "-m", "trainer", "--shards", shards, "--out", run)
    _run(seconds, "trainer", *trainer, *RECIPE, *AUGMENTATION)
    (training,) = open_runs([run])
    values = read_bundle(compared)["values"]
    result = DemoResult(
        run=training,
        download=Measurement(name=DOWNLOAD, values=tuple(values[DOWNLOAD])),
        shards=Measurement(name=SHARDS, values=tuple(values[SHARDS])),
        part_seconds=seconds,
    )
    picture = out / "demo.png"
    draw_result(result, picture)
    print_line(f"\n{result.finding()}\nFigure: {picture.resolve()}")
    if training.best < TARGET_TOP1:
        raise DataError(
            f"The best validation top-1 is {training.best:.2%}, below the {TARGET_TOP1:.0%} that "
            f"the demo reaches elsewhere: this installation does not train correctly."
        )


def _run(seconds: dict[str, float], part: str, *command: Any) -> None:
    """Print and run a command, and add its wall time to that of its `part` of the demo."""
    words = [str(word) for word in command]
    print_line(f"\n$ {' '.join(words)}")
    environment = module_variables(
        VIRTUAL_ENV=sys.prefix, PATH=f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ['PATH']}"
    )
    if words[0] == "tools/shard":
        words[0] = str(shard_program())
    start = time.perf_counter()
    # It prints to this terminal, and so shows its progress there.
    code = subprocess.run(words, env=environment, check=False).returncode
    seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - start
    if code:
        raise SystemExit(code)


if __name__ == "__main__":
    main()
