"""make demo: scikit-learn's handwritten digits, from a Kaggle folder to a picture of where the
time went. Runs the commands that a user would type."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.demo.figure import RunFigures, draw_run
from benchmarks.measuring.provenance import ROOT
from pipeline.errors import DataError

TARGET_TOP1 = 0.97

# Digits are not mirrored, and little is left of one when most of it is cut away.
AUGMENTATION = (
    "--flip-probability",
    "0",
    "--crop-area",
    "0.6",
    "1",
    "--crop-ratio",
    "0.85",
    "1.18",
)
# Images this small come fast: short runs are long enough.
LOADER = ("--seconds", "0.2")
# Small data wants small batches: 45 steps an epoch.
RECIPE = ("--epochs", "15", "--global-batch-size", "32", "--learning-rate", "0.16")


@click.command()
@click.option("--out", type=Path, default=Path("demo"), show_default=True, help="Working folder.")
def main(out: Path) -> None:
    """Write a Kaggle download, shard it, measure the loader, train ResNet-50, draw one picture."""
    seconds: dict[str, float] = {}
    kaggle, shards, run = out / "kaggle", out / "shards", out / "run"
    for folder in (kaggle, shards, run):
        shutil.rmtree(folder, ignore_errors=True)
    write_digits(kaggle)
    _run(seconds, "tools/shard", "--src", kaggle, "--out", shards, "--val", "0.2")
    output = _run(seconds, "bench-loader", "--shards", shards, *LOADER, *AUGMENTATION)
    trainer = ("python", "-m", "trainer", "--shards", shards, "--out", run)
    _run(seconds, *trainer, *RECIPE, *AUGMENTATION)
    figures = RunFigures.collect(
        metrics=[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()],
        loader=json.loads(output.splitlines()[-1]),
        command_seconds=seconds,
    )
    picture = out / "demo.png"
    draw_run(figures, picture)
    print(f"\n{figures.verdict()}\nThe picture: {picture.resolve()}")
    if figures.best_top1 < TARGET_TOP1:
        raise DataError(
            f"Validation top-1 is {figures.best_top1:.2%}, below the {TARGET_TOP1:.0%} that the "
            f"demo reaches: something is wrong with this installation."
        )


def write_digits(folder: Path) -> None:
    """Write the 1,797 digits of 8 x 8 px as ``train/<id>.png`` and ``train.csv`` (id,label).

    Source: scikit-learn's ``load_digits``, from the UCI set "Optical Recognition of Handwritten
    Digits"; its 17 gray levels are spread over 0 to 255.
    """
    import cv2
    from sklearn.datasets import load_digits

    digits = load_digits()
    (folder / "train").mkdir(parents=True)
    rows = ["id,label"]
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True), 1):
        pixels = (image * (255 / 16)).round().astype("uint8")
        cv2.imwrite(str(folder / "train" / f"{number}.png"), pixels)
        rows.append(f"{number},{label}")
    (folder / "train.csv").write_text("\n".join(rows) + "\n")


def _run(seconds: dict[str, float], *command: Any) -> str:
    """Show and run a command, add its wall time to `seconds`, return what it printed."""
    words = [str(word) for word in command]
    print(f"\n$ {' '.join(words)}", flush=True)
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
