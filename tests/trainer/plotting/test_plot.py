"""``python -m trainer.plot``: titles, curves and a figure of several runs."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

from pipeline.errors import MisuseError
from tests.helpers.run_records import records, write
from trainer.plot import main
from trainer.plotting.curves import (
    headline,
    learning_rate_finding,
    loss_finding,
    open_runs,
    rate_finding,
    score_finding,
    thin_out,
    wait_finding,
)
from trainer.plotting.figure import draw_runs


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [
        write(tmp_path / "fast", records(seconds=2.0, top1=0.8)),
        write(tmp_path / "slow", records(seconds=4.0, top1=0.6)),
        write(tmp_path / "blind", records(seconds=8.0, steps=6)),
    ]


def test_titles_state_the_findings(folders: list[Path]) -> None:
    runs = open_runs(folders)
    assert headline(runs) == "Top-1 of 75% after 0:40 (fast); not reached by slow, blind"
    assert headline(runs[2:]) == loss_finding(runs[2:]) == "Final training loss: 0.667"
    assert loss_finding(runs) == "Final validation loss: 0.500 (fast), 0.500 (slow)"
    assert score_finding(runs) == "Best top-1: 80.0% (fast), 60.0% (slow)"
    assert rate_finding(runs) == "Throughput after warm-up, images/s: 4 (fast), 2 (slow), 1 (blind)"
    assert wait_finding(runs) == "Time spent waiting for data: 20.0% in each run"
    assert learning_rate_finding(runs) == "Highest logged learning rate: 0.1 in each run"
    assert [len(run.restarts) for run in runs] == [2, 2, 2]


def test_runs_of_one_name_are_named_by_their_paths(tmp_path: Path) -> None:
    folders = [write(tmp_path / parent / "run", records(seconds=1.0)) for parent in ("a", "b")]
    assert [run.name for run in open_runs(folders)] == [str(folder) for folder in folders]
    with pytest.raises(MisuseError, match="given twice"):
        open_runs([folders[0], folders[0] / ".." / "run"])


@pytest.mark.parametrize("limit", [1, 3, 7, 20, 50])
def test_thin_out_keeps_images_and_time(limit: int) -> None:
    intervals = [line for line in records(seconds=2.0) if line["kind"] == "train"]
    intervals[3] |= {"seconds": 10.0, "data_seconds_max": 9.0}
    points = thin_out(intervals, limit)
    assert len(points) <= limit
    assert points[-1]["position"] == intervals[-1]["position"]
    if limit == 1:
        assert points[0]["images_per_second"] == 160 / 48
        assert points[0]["data_share"] == pytest.approx((19 * 0.4 + 9) / 48)
        assert points[0]["loss"] == pytest.approx(sum(4.0 / n for n in range(1, 21)) / 20)
    assert thin_out([]) == []


def test_the_figure_has_each_curve_against_samples_and_time(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    save = Figure.savefig

    def record(figure: Figure, *arguments: Any, **settings: Any) -> None:
        drawn.append(figure)
        save(figure, *arguments, **settings)

    monkeypatch.setattr(Figure, "savefig", record)
    draw_runs(open_runs(folders), tmp_path / "runs.png")
    assert (tmp_path / "runs.png").read_bytes().startswith(b"\x89PNG")
    axes = drawn[0].axes
    assert len(axes) == 10
    by_samples, by_time = axes[6].lines[0], axes[7].lines[0]
    assert list(by_samples.get_xdata())[:2] == [8, 16]
    assert list(by_time.get_xdata())[:2] == [2.0, 4.0]
    assert list(by_samples.get_ydata()) == list(by_time.get_ydata()) == [4.0] * 20
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == [
        *("fast", "slow", "blind", "validation", "stopped and resumed")
    ]


def test_draws_the_runs_of_a_folder_that_have_logged(tmp_path: Path) -> None:
    """Here it is one, with one interval."""
    runs = tmp_path / "runs"
    folder = write(runs / "run", records(seconds=1.0, steps=1))
    write(runs / "begun", [])
    result = CliRunner().invoke(main, [str(runs), "--out", str(tmp_path / "x.svg")])
    assert result.exit_code == 0, result.output
    assert f"Runs: {folder}." in result.output
    assert "Final training loss: 4.000." in result.output
    assert (tmp_path / "x.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"), [(["damaged"], 1, "line 2: invalid JSON")]
)
def test_rejects_bad_input(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    exit_code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run", records(seconds=1.0))
    damaged = write(tmp_path / "damaged", records(seconds=1.0)) / "metrics.jsonl"
    lines = damaged.read_text().splitlines()
    damaged.write_text("\n".join([lines[0], lines[1][:30], *lines[2:]]) + "\n")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == exit_code, result.output
    assert message in result.output
