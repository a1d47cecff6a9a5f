"""All that wants a GPU, in one command: its tests, what is measured on it, and a page of that.

Each part runs in a process of its own within a limit; one that fails doesn't keep the others from
running. What each printed lies in the output folder beside its result, and is printed last.
``--device cpu`` goes through the same parts on a machine without a GPU.
"""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from benchmarks.datasets.photographs import DEFAULT_FOLDER as DATA_FOLDER
from benchmarks.datasets.photographs import FORMATS, prepare_format
from benchmarks.measuring.provenance import ROOT
from pipeline.errors import DataError, MisuseError
from pipeline.options import options, pick_fields, setting


@dataclass(frozen=True, kw_only=True)
class GpuRun:
    src: str = setting(
        "", "Folder of photographs.", required=True, type=click.Path(exists=True, file_okay=False)
    )
    out: str = setting("on_gpu", "Folder for what each part printed and measured.")
    data: str = setting(str(DATA_FOLDER), "Where the images are made, once.")
    device: Literal["cpu", "cuda"] = setting("cuda", "What is tested and measured.")
    images: int = setting(4800, "Images, repeated.")
    runs: int = setting(5, "Runs that count, of each contender.")
    seconds: float = setting(2.0, "Length of a run.")
    model: str = setting("resnet50", "What is trained.")
    batch_size: int = setting(256, "Images in a batch.")
    train_minutes: float = setting(0.5, "Minutes of training on each input.")
    limit: float = setting(300.0, "Seconds that a part may take.")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A module of this project, or pytest, and its arguments; `measures`: takes --output."""

    name: str
    module: str
    arguments: tuple[str, ...]
    measures: bool = True


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a part printed; `exit_code` is None where it ran past its limit."""

    part: Part
    exit_code: int | None
    seconds: float
    printed: str


@click.command()
@options(GpuRun)
def main(**values: Any) -> None:
    """Run the tests that need a GPU, then measure the input, the compute, and both together."""
    # Each part runs in the project's folder.
    folders = {name: str(Path(values[name]).absolute()) for name in ("src", "out", "data")}
    asked = pick_fields(GpuRun, values | folders)
    out = Path(asked.out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MisuseError(f"--out {out} holds something already: give a new or empty folder.")
    out.mkdir(parents=True, exist_ok=True)
    shards = {
        form: prepare_format(Path(asked.data), Path(asked.src), asked.images, form) / "shards"
        for form in FORMATS
    }
    outcomes = []
    for part in parts(asked, shards):
        click.echo(f"{part.name} ...", err=True)
        outcomes.append(run(part, out, asked.limit))
    for outcome in outcomes:
        click.echo(f"\n== {outcome.part.name}, {outcome.seconds:.0f} s\n{outcome.printed}")
    if failed := [outcome.part.name for outcome in outcomes if outcome.exit_code != 0]:
        raise DataError(f"Failed, or ran past --limit: {', '.join(failed)}. See {out}.")


def parts(asked: GpuRun, shards: dict[str, Path]) -> list[Part]:
    """In the order of what is learned from each."""
    measuring = ("--runs", str(asked.runs), "--seconds", str(asked.seconds))
    batch = ("--batch-size", str(asked.batch_size))
    photographs = ("--src", asked.src, "--data", asked.data, "--images", str(asked.images))
    loader = ("--shards", str(shards["jpeg"]), *batch, *measuring)
    tests = ("-q", "-rs", "-m", "gpu", "-p", "no:cacheprovider", str(ROOT / "tests"))
    found = [Part(name="tests", module="pytest", arguments=tests, measures=False)]
    found += [
        Part(
            name=f"peers-{form}",
            module="benchmarks.peers",
            arguments=(
                *photographs,
                *("--format", form, "--device", asked.device, *batch, *measuring),
                *("--peers", "shardline", "--peers", "dali-reader", "--peers", "torch-tensor"),
            ),
        )
        for form in FORMATS
    ]
    found.append(Part(name="rungs", module="benchmarks.loader", arguments=loader))
    # A CPU has no decoders beside its cores.
    sweeps = ("threads", "cache", *["hw-decoder-load"] * (asked.device == "cuda"))
    found += [
        Part(name=f"sweep-{what}", module="benchmarks.loader", arguments=(*loader, "--sweep", what))
        for what in sweeps
    ]
    compute = ("--model", asked.model, "--device", asked.device, *batch)
    found.append(Part(name="compute", module="benchmarks.compute", arguments=compute))
    ladder = ("--shards", str(shards["jpeg"]), "--mode", "weak", *compute, *measuring)
    found.append(Part(name="scaling", module="benchmarks.scaling", arguments=ladder))
    found.append(training(asked, "train-synthetic", "--synthetic"))
    found += [
        training(asked, f"train-{form}", "--shards", str(folder)) for form, folder in shards.items()
    ]
    page = (asked.out, "--out", str(Path(asked.out, "report")))
    found.append(Part(name="report", module="benchmarks.report", arguments=page, measures=False))
    return found


def training(asked: GpuRun, name: str, *source: str) -> Part:
    """The trainer for a fixed time; the table that it ends with has its images/s."""
    settings = ("--model", asked.model, "--device", asked.device, "--val-every", "0")
    size = ("--global-batch-size", str(asked.batch_size), "--max-minutes", str(asked.train_minutes))
    arguments = (*source, *settings, *size, "--out", str(Path(asked.out, name)))
    return Part(name=name, module="trainer", arguments=arguments, measures=False)


def run(part: Part, out: Path, limit_seconds: float) -> Outcome:
    """Run `part`; its log and its result go to `out`."""
    command = [sys.executable, "-m", part.module, *part.arguments]
    if part.measures:
        command += ["--output", str(out / f"{part.name}.json")]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit_seconds,
            check=False,
        )
        exit_code, printed = done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        exit_code, printed = None, (error.stdout or b"").decode(errors="replace")
    seconds = time.monotonic() - started
    (out / f"{part.name}.log").write_text(f"{' '.join(command)}\n{printed}", encoding="utf-8")
    return Outcome(part=part, exit_code=exit_code, seconds=seconds, printed=printed)


if __name__ == "__main__":
    main()
