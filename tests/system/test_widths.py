"""What the commands print fits terminals of 80 and of 200 columns: tables, progress and --help."""

import ast
import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from benchmarks import parity
from benchmarks.compute.utilization import COLUMNS as COMPUTE_COLUMNS
from benchmarks.frameworks.__main__ import COLUMNS as FRAMEWORKS_COLUMNS
from benchmarks.loader.config import EXPLANATIONS, LoaderBenchmark
from benchmarks.loader.setup import open_setup
from benchmarks.loader.timed_batches import COLUMNS as LOADER_COLUMNS
from benchmarks.measuring.alternate import Measurement, Rounds
from benchmarks.measuring.table import ColumnFormats, explain, figure_columns, report
from benchmarks.measuring.text import figure
from benchmarks.peers.__main__ import COLUMNS as PEERS_COLUMNS
from benchmarks.predict import __main__ as predict
from benchmarks.report.study_record import TrialResult
from benchmarks.scaling.points import build_points
from benchmarks.scaling.record import (
    LOADER,
    LOCKSTEP,
    NO_ALL_REDUCE,
    SYNTHETIC,
    WARM,
    LadderMeasurement,
    Point,
)
from benchmarks.scaling.text import point_columns, show_ladder
from benchmarks.study.configurations import group_results
from benchmarks.study.report import report_study
from benchmarks.study.trials import Trial
from pipeline.config import PipelineConfig
from pipeline.console import open_console
from pipeline.plan import audit
from pipeline.progress import fitted, partial_parts
from pipeline.storage.dataset import Dataset
from pipeline.table import Table, print_table
from tests.helpers.cli import invoke
from tests.helpers.handmade import write_shards
from tests.helpers.scaling_results import rung, scaling
from tools.images.encoding_costs import Cost, Costs, costs_table
from tools.showing.dataset_summary import DatasetSummary
from tools.showing.show import describe
from trainer.config import Settings
from trainer.run.display import Display, evaluation_parts, progress_parts

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipeline", "tools", "trainer", "benchmarks")
NAME = "a name that has exactly forty letters it"
HUGE = 123_456_789_012.3
ROWS = [
    Measurement(name=name, values=(HUGE * factor, 0.9 * HUGE * factor, 1.1 * HUGE * factor))
    for name, factor in (("full", 1.0), (NAME, 2.0))
]
MEASURED = ("median", "lowest", "highest", *map(figure, (HUGE, 0.9 * HUGE, 1.1 * HUGE)), NAME[:12])
LADDER = {NO_ALL_REDUCE: 100, LOCKSTEP: 100, SYNTHETIC: 110, LOADER: 40, WARM: 130}

Printer = Callable[[Path], None]


@pytest.fixture(params=[80, 200])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


def print_loader(folder: Path) -> None:
    config = PipelineConfig(shards=str(write_shards(folder / "shards")))
    explain(EXPLANATIONS)
    with open_setup(LoaderBenchmark(), config) as setup:
        figures = {row.name: dict.fromkeys(LOADER_COLUMNS, HUGE) for row in ROWS}
        shares = {"share of time": {row.name: "100%" for row in ROWS}}
        setup.report("loader", ROWS, figures, kind="x", finding="It.", columns=shares)


def printer_of(formats: ColumnFormats) -> Printer:
    """Prints the table of a benchmark with these columns."""

    def print_report(folder: Path) -> None:
        figures = {row.name: dict.fromkeys(formats, HUGE) for row in ROWS}
        facts = {"figures": figures}
        report(
            NAME, "images/s", ROWS, kind="x", facts=facts, columns=figure_columns(figures, formats)
        )

    return print_report


def points() -> tuple[Point, ...]:
    measurements = [
        LadderMeasurement(
            mode="weak",
            world_size=ranks,
            nodes=1,
            batch_size=8 * 10**9,
            gradient_bytes=26_214_400,
            rungs={name: rung(milliseconds, ranks, 0.0) for name, milliseconds in LADDER.items()},
            rank_cores=tuple((core,) for core in range(ranks)),
        )
        for ranks in (1, 2, 4, 8, 16, 1024)
    ]
    return tuple(build_points(measurements, cores=2, fits_in_page_cache=True))


def print_scaling(folder: Path) -> None:
    show_ladder(points())
    rows = [Measurement(name=point.name, values=point.rates()) for point in points()]
    report("scaling", "images/s", rows, kind="x", facts={}, columns=point_columns(points()))


def print_prediction(folder: Path) -> None:
    print(predicted(folder / "prediction.json"), end="")


def predicted(output: Path) -> str:
    """What bench-predict prints about the largest numbers of ranks."""
    with redirect_stdout(io.StringIO()):
        path = scaling(output.with_name("scaling.json"), {1: {SYNTHETIC: 1, LOADER: 4, WARM: 5}})
    return invoke(predict.main, path, "--max-ranks", 2**20, "--output", output).output


def print_study(folder: Path) -> None:
    results = {}
    for ranks in (1, 1024):
        trial = Trial(framework="pytorch", ranks=ranks, seed=0, directory=folder)
        results[trial] = TrialResult(
            cell=str(trial),
            seconds=1e6,
            start_seconds=1.0,
            data_seconds=1.0,
            compute_seconds=1e6,
            images_per_second=HUGE * ranks,
            epochs=1e6,
            score=0.9,
            best=0.9,
            evaluated=10_000,
            target_seconds=None,
            starts=1,
        )
    report_study(
        group_results(results),
        metric="top1",
        answers={},
        finding="",
        options={"train_samples": ()},
        settings=Settings.from_options(),
        output=folder / "study.json",
    )


def print_summary(folder: Path) -> None:
    part = {"images_per_second": HUGE, "data_share": 0.5}
    record = dict.fromkeys(("warmup", "first_epoch", "later_epochs", "total"), part)
    record |= {"kind": "summary", "milestones": [], "process": 3, "elapsed_seconds": 1e7}
    record |= {"memory_bytes": 2**50, "bad_samples": 10**9, "best_top1": 0.9, "best_top5": 1.0}
    run = SimpleNamespace(
        progress=SimpleNamespace(position=0),
        time_budget=SimpleNamespace(end_position=10),
        data=SimpleNamespace(samples=10),
        run_dir=SimpleNamespace(path=folder / ("x" * 120)),
        task=SimpleNamespace(primary_metric="top1"),
    )
    run_of_any_kind: Any = run
    Display(run_of_any_kind).write(record)


def print_shards(folder: Path) -> None:
    names = [f"{NAME[:36]} {number:03d}" for number in range(40)]
    rejected = [("a/path/" * 20, f"{NAME}, " * 4), ("b.png", "It has no pixels.")]
    shards = write_shards(folder / "shards", classes=names, rejected=rejected)
    summary = DatasetSummary.from_dataset(Dataset(str(shards)))
    for part in describe(summary, all_classes=False):
        if isinstance(part, Table):
            print_table(part)


def print_costs(folder: Path) -> None:
    cost = Cost(choice=NAME, images=24, mean_bytes=HUGE, psnr_decibel=40.0, images_per_second=HUGE)
    unknown = {"as_png": None, "as_jpeg": None, "formats": ()}
    counts = {"kept_jpegs": 0, "other_jpegs": 0, "small": 0}
    print_table(costs_table(Costs(choices=(cost,), **unknown, **counts)))


def print_quality(folder: Path) -> None:
    pair = (HUGE, HUGE)
    audit.print_quality(audit.Quality(run_length=pair, correlation=pair, shards=pair))


def print_parity(folder: Path) -> None:
    pixels = [{"name": name, "mean": 0.1, "largest": 255, "beyond": 0.1} for name in parity.PAIRS]
    parity.print_records("Validation, levels of 255", pixels, {"mean": ".3f", "beyond": ".4%"})


# What prints the tables of a command with long names and large numbers -> texts that are there.
TABLES: dict[str, tuple[Printer, tuple[str, ...]]] = {
    "bench-loader": (print_loader, ("share", "p99", "images per CPU s", *MEASURED)),
    "bench-compute": (printer_of(COMPUTE_COLUMNS), ("MFU", *MEASURED)),
    "bench-frameworks": (printer_of(FRAMEWORKS_COLUMNS), ("first loss", *MEASURED)),
    "benchmarks.peers": (printer_of(PEERS_COLUMNS), MEASURED),
    "bench-scaling": (print_scaling, ("median", "lowest", "efficiency", "weak, 1,024 ranks")),
    "bench-predict": (print_prediction, ("median", "first limit", "1,048,576 ranks", "efficiency")),
    "bench-study": (print_study, ("median", "efficiency", "277:46:40", "1,024 ranks", "top-1")),
    "trainer": (print_summary, ("later epochs", figure(HUGE)[:9], "2777:46:40", "directory")),
    "tools/show": (print_shards, ("samples", "median", "class", "share", "no pixels")),
    "tools/shard": (print_costs, ("stored as", "bytes/image", "40.0 dB", f"{HUGE:,.0f}")),
    "pipeline.plan.audit": (print_quality, ("measured", "ideal", f"{HUGE:.3f}")),
    "benchmarks.parity": (print_parity, ("largest", "loader, torchvision", "10.0000%")),
}


def tables_of(text: str) -> list[str]:
    """The lines up to the end of the last table; sentences follow, which a terminal wraps."""
    return text.rpartition("\n\n")[0].splitlines()


@pytest.mark.parametrize("name", TABLES)
def test_tables_fit(
    name: str, columns: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printer, texts = TABLES[name]
    printer(tmp_path)
    lines = tables_of(capsys.readouterr().out)
    assert max(map(cell_len, lines)) <= columns
    text = " ".join(" ".join(line.split()) for line in lines)
    assert "\u2026" not in text and "..." not in text
    for part in texts:
        assert all(word in text for word in part.split()), part


def progress_lines() -> Iterator[tuple[list[str], str]]:
    """The parts of each kind of line, and the last letters of what may not be missing."""
    record = {"images_per_second": HUGE, "loss": 1e6, "data_share": 1.0, "learning_rate": 1e3}
    large = {"epoch": 1e6, "epochs": 1e7, "remaining": 9 * 10**12}
    yield progress_parts(record, **large, images_per_second=0.0), " left"
    rate = {"images_per_second": 3.0}
    yield progress_parts(record | rate, **large, images_per_second=0.0), " left"
    yield progress_parts(None, **large, images_per_second=3.0), " left"
    evaluation = {"epoch": 1e6, "samples": 10**9, "top1": 1.0, "top5": 1.0, "loss": 1e6}
    yield evaluation_parts(evaluation, "top1"), "100.00%"
    work = {"seconds": 1e7, "unit": "images", "scale": 1}
    yield partial_parts("predicting", 10**9, 10**12, **work), " left"
    rounds = Rounds(names=(NAME,), rounds=1000, warmup=1, calls=[(NAME, 1e4)] * 100)
    yield rounds.parts(), " left"


@pytest.mark.parametrize("columns", [80, 200])
def test_progress_lines_fit(columns: int) -> None:
    for parts, needed in progress_lines():
        line = fitted(parts, columns)
        assert cell_len(line) <= columns and line.startswith(parts[0])
        assert needed in line.removeprefix(parts[0])
        assert columns == 80 or line == "  ".join(parts)


def commands() -> Iterator[tuple[str, click.Command]]:
    """All commands of the project."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef) and any(
                    ast.unparse(each).startswith("click.command(") for each in node.decorator_list
                ):
                    yield module, getattr(import_module(module), node.name)


def test_help_pages_fit() -> None:
    names = []
    for name, command in commands():
        page = CliRunner().invoke(command, ["--help"], terminal_width=80, max_content_width=80)
        assert page.exit_code == 0, name
        wide = [line for line in page.output.splitlines() if cell_len(line) > 80]
        assert not wide, (name, wide)
        names.append(name)
    assert {"tools.cli", "trainer.predict", "benchmarks.loader.__main__"} <= {*names}


def test_rich_draws_in_two_modules() -> None:
    """So that what these tests know of widths holds for all tables and bars."""
    drawing = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if any(f"rich.{part} import" in path.read_text() for part in ("table", "progress", "live"))
    }
    assert drawing <= {"pipeline/table.py", "pipeline/progress.py"}


def test_the_console_has_the_width_that_is_asked_for(columns: int) -> None:
    assert open_console().width == columns
    assert open_console(file=io.StringIO()).width == columns
