"""Run the tests that need a GPU, measure on it, and write a report, in one command.

Each part runs in its own process with a time limit; a failure does not stop the other parts. The
output folder gets the log of each part and its result; all logs are printed at the end.
``--device cpu`` runs the same parts on a machine without a GPU.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from benchmarks.datasets.photographs import DEFAULT_FOLDER as DATA_FOLDER
from benchmarks.datasets.photographs import FORMATS, prepare_format
from benchmarks.measuring.provenance import ROOT
from pipeline.console import print_line
from pipeline.errors import DataError, MisuseError
from pipeline.options import Command, options, pick_fields, setting


@dataclass(frozen=True, kw_only=True)
class GpuRun:
    src: str = setting(
        "", "Folder of photographs.", required=True, type=click.Path(exists=True, file_okay=False)
    )
    out: str = setting("on_gpu", "Folder for logs, results and the report.")
    data: str = setting(str(DATA_FOLDER), "Folder for the images, created if it is missing.")
    device: Literal["cpu", "cuda"] = setting("cuda", "Device to test.")
    images: int = setting(4800, "Number of images; the photographs are repeated.")
    runs: int = setting(5, "Measured repetitions of each configuration.")
    seconds: float = setting(2.0, "Duration of a repetition.")
    model: str = setting("resnet50", "Model to train.")
    batch_size: int = setting(256, "Batch size.")
    train_minutes: float = setting(0.5, "Minutes of training on each input.")
    limit: float = setting(300.0, "Time limit of a part in seconds.")


@dataclass(frozen=True)
class Part:
    """A module of this project, or pytest, and its arguments; `measures`: it takes --output."""

    name: str
    module: str
    arguments: tuple[str, ...]
    measures: bool = True


@dataclass(frozen=True)
class Outcome:
    """Output of a part; `exit_code` is None if it exceeded its time limit."""

    part: Part
    exit_code: int | None
    seconds: float
    printed: str


@click.command(cls=Command)
@options(GpuRun)
def main(**values: Any) -> None:
    """Run the tests that need a GPU, then measure input, compute, and both together."""
    # Parts run in the project's folder.
    folders = {name: str(Path(values[name]).absolute()) for name in ("src", "out", "data")}
    config = pick_fields(GpuRun, values | folders)
    out = Path(config.out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MisuseError(f"--out {out} is not empty: give a new or empty folder.")
    out.mkdir(parents=True, exist_ok=True)
    shards = {
        form: prepare_format(Path(config.data), Path(config.src), config.images, form) / "shards"
        for form in FORMATS
    }
    outcomes = []
    for part in parts(config, shards):
        print_line(f"{part.name} ...", err=True)
        outcomes.append(run(part, out, config.limit))
    for outcome in outcomes:
        print_line(f"\n== {outcome.part.name}, {outcome.seconds:.0f} s\n{outcome.printed}")
    if failed := [outcome.part.name for outcome in outcomes if outcome.exit_code != 0]:
        raise DataError(f"These parts failed or exceeded --limit: {', '.join(failed)}. See {out}.")


def parts(config: GpuRun, shards: Mapping[str, Path]) -> list[Part]:
    """Tests first, then measurements, trainings and the report."""
    repeated = ("--runs", str(config.runs), "--seconds", str(config.seconds))
    batch = ("--batch-size", str(config.batch_size))
    jpeg = ("--shards", str(shards["jpeg"]))
    loader = (*jpeg, *batch, *repeated)
    model = ("--model", config.model, "--device", config.device)
    photographs = ("--src", config.src, "--data", config.data, "--images", str(config.images))
    compared = ("--peers", "shardline", "--peers", "dali-reader", "--peers", "torch-tensor")
    peers = (*photographs, "--device", config.device, *batch, *repeated, *compared)
    # A CPU has no hardware decoder.
    sweeps = ("threads", "cache", *["hw-decoder-load"] * (config.device == "cuda"))
    steps = ("--global-batch-size", str(config.batch_size))
    training = (*model, "--val-every", "0", *steps, "--max-minutes", str(config.train_minutes))
    inputs = {form: ("--shards", str(folder)) for form, folder in shards.items()}
    tests = ("-q", "-rs", "-m", "gpu", "-p", "no:cacheprovider", str(ROOT / "tests"))
    report = (config.out, "--out", str(Path(config.out, "report")))
    return [
        Part("tests", "pytest", tests, measures=False),
        *(Part(f"peers-{f}", "benchmarks.peers", ("--format", f, *peers)) for f in FORMATS),
        Part("rungs", "benchmarks.loader", loader),
        *(Part(f"sweep-{s}", "benchmarks.loader", (*loader, "--sweep", s)) for s in sweeps),
        Part("compute", "benchmarks.compute", (*model, *batch)),
        Part("scaling", "benchmarks.scaling", (*jpeg, "--mode", "weak", *model, *batch, *repeated)),
        *(
            Part(name, "trainer", (*source, *training, "--out", str(Path(config.out, name))), False)
            for form, source in {"synthetic": ("--synthetic",), **inputs}.items()
            for name in [f"train-{form}"]
        ),
        Part("report", "benchmarks.report", report, measures=False),
    ]


def run(part: Part, out: Path, limit_seconds: float) -> Outcome:
    """Run `part`, and write its log and its result to `out`."""
    command = [sys.executable, "-m", part.module, *part.arguments]
    if part.measures:
        command += ["--output", str(out / f"{part.name}.json")]
    start, exit_code = time.monotonic(), None
    log = out / f"{part.name}.log"
    with log.open("w", encoding="utf-8") as file:
        print(*command, file=file, flush=True)
        with suppress(subprocess.TimeoutExpired):
            exit_code = subprocess.call(
                command, cwd=ROOT, stdout=file, stderr=file, timeout=limit_seconds
            )
    _, _, printed = log.read_text(encoding="utf-8", errors="replace").partition("\n")
    return Outcome(part, exit_code, time.monotonic() - start, printed)


if __name__ == "__main__":
    main()
