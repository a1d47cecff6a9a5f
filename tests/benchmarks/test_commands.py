"""The demo's figure, and options from the environment."""

import tomllib
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.demo.figure import DemoResult, draw_result
from benchmarks.report import __main__ as report
from tests.helpers.run_records import records, write
from trainer.plotting.curves import open_runs


def result(folder: Path, loader_rate: float) -> DemoResult:
    """Of a run of 40 s, of which steps wait for data for 8."""
    (run,) = open_runs([write(folder / "run", records(seconds=2.0, top1=0.8))])
    seconds = {"tools/shard": 1.0, "bench-loader": 2.0, "python": 50.0}
    return DemoResult(run=run, loader_rate=loader_rate, command_seconds=seconds)


def test_rates_and_stages_of_the_demo(tmp_path: Path) -> None:
    demo = result(tmp_path, 4.5)
    assert demo.steps.images_per_second == pytest.approx(4.0)
    assert demo.compute_rate == pytest.approx(5.0)
    assert sum(demo.stages.values()) == pytest.approx(53.0)
    assert demo.stages["waiting for data"] == pytest.approx(8.0)
    assert demo.finding().startswith("Input is the bottleneck: the loader gives 4 images/s")
    faster = replace(demo, loader_rate=6.0)
    assert faster.finding().startswith("Compute is the bottleneck")


def test_the_figure_of_the_demo_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "demo.png"
    draw_result(result(tmp_path, 4.5), path)
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
