"""Benchmarks measure what they say; how fast it is, no test asserts."""

import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.demo.figure import RunFigures, draw_run
from benchmarks.report import __main__ as report


def figures(loader_rate: float) -> RunFigures:
    intervals = [
        {"kind": "train", "images": 100, "seconds": 2.0, "data_seconds_max": 0.5},
        {"kind": "train", "images": 100, "seconds": 2.0, "data_seconds_max": 1.5},
    ]
    evaluations = [{"kind": "evaluation", "epoch": epoch, "top1": epoch / 4} for epoch in (1, 2)]
    return RunFigures.collect(
        metrics=intervals + evaluations,
        loader={"median": {"full": loader_rate}},
        command_seconds={"tools/shard": 1.0, "bench-loader": 2.0, "python": 10.0},
    )


def test_figures_of_a_run() -> None:
    run = figures(80.0)
    assert (run.compute, run.training, run.best_top1) == (100.0, 50.0, 0.5)
    assert sum(seconds for _, seconds in run.stages) == 13.0
    assert run.verdict().startswith("Input is the limit: the loader alone gives 80")
    assert figures(120.0).verdict().startswith("Compute is the limit")


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "run.png"
    draw_run(figures(80.0), path)
    assert path.read_bytes().startswith(b"\x89PNG")


PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("script", [name for name in PROJECT["scripts"] if "bench-" in name])
def test_options_may_come_from_the_environment(script: str) -> None:
    module, _, command = PROJECT["scripts"][script].partition(":")
    settings = getattr(import_module(module), command).context_settings
    assert settings["auto_envvar_prefix"] == "BENCH"


def test_an_option_from_the_environment() -> None:
    result = CliRunner(env={"BENCH_VERIFY": "1"}).invoke(report.main, ["none.json"])
    assert result.exit_code == 1 and "1 of 1 inputs are invalid" in result.output
