"""Alternating runs, intervals of medians, and results whose hash reveals an edit."""

import copy
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measuring import laps, provenance
from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.config import Measuring
from benchmarks.measuring.intervals import median_interval, spread
from benchmarks.measuring.laps import measure_lap, measure_world_lap
from benchmarks.measuring.result_file import publish, read_bundle, seal, verify
from benchmarks.measuring.table import report
from benchmarks.measuring.text import figure
from pipeline.errors import DataError, MisuseError
from trainer.distributed.collectives import World


def test_candidates_alternate_and_the_warm_up_is_dropped() -> None:
    calls: list[str] = []

    def candidate(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    first, second = alternate(
        {"a": lambda: candidate("a"), "b": lambda: candidate("b")}, runs=3, warmup=1
    )
    assert "".join(calls) == "abababab"
    assert (first.name, first.values, first.median) == ("a", (3.0, 5.0, 7.0), 5.0)
    assert second.values == (4.0, 6.0, 8.0)
    assert ratio(second, first).values == pytest.approx((4 / 3, 6 / 5, 8 / 7))


@pytest.mark.parametrize(("limit", "runs"), [(1.0, 1), (6.5, 1), (9.0, 2), (100.0, 5), (None, 5)])
def test_no_round_begins_that_would_end_after_the_limit(
    limit: float | None, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls take 1 and 2 s, by a clock that only they move."""
    seconds = 0.0

    def candidate(duration: float) -> float:
        nonlocal seconds
        seconds += duration
        return duration

    monkeypatch.setattr("benchmarks.measuring.alternate.time.monotonic", lambda: seconds)
    calls = {"a": lambda: candidate(1.0), "b": lambda: candidate(2.0)}
    rows = alternate(calls, runs=5, warmup=1, show_progress=False, limit_seconds=limit)
    assert [len(row.values) for row in rows] == [runs, runs]


def test_a_lap_counts_images_and_synchronizes_the_device() -> None:
    waits: list[None] = []
    run = measure_lap(repeat(8), 0.01, lambda: waits.append(None))
    assert run.seconds >= 0.01 and run.images > 0 and run.images % 8 == 0
    assert run.images_per_second == pytest.approx(run.images / run.seconds)
    assert len(waits) == 2


def test_a_lap_of_the_world_is_between_two_barriers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks: this one is measured, the figures of the other are given."""
    order: list[str] = []
    other = [24.0, 7.0, 5.0, 6.0]
    monkeypatch.setattr(laps, "synchronize", lambda device: order.append("synchronize"))
    monkeypatch.setattr(World, "barrier", lambda world: order.append("barrier"))
    monkeypatch.setattr(World, "all_gather", lambda world, values: [list(values), other])

    def work() -> int:
        order.append("work")
        return 8

    world = World(device=torch.device("cpu"), world_size=2)
    run = measure_world_lap(work, world)
    assert order == ["synchronize", "barrier", "work", "synchronize", "barrier"]
    assert (run.images, run.seconds, run.rank_seconds[1]) == (32, 7.0, 6.0)
    assert 5.0 <= run.cpu_seconds < 6.0
    assert run.images_per_second == 32 / 7


@pytest.mark.parametrize(
    ("count", "ranks", "confidence"),
    [
        (1, (0, 0), 0.0),
        (2, (0, 1), 0.5),
        (5, (0, 4), 0.9375),
        (6, (0, 5), 0.96875),
        (8, (0, 7), 0.9921875),
        (9, (1, 7), 0.9609375),
        (12, (2, 9), 0.96142578125),
    ],
)
def test_the_interval_is_the_narrowest_with_95_percent(
    count: int, ranks: tuple[int, int], confidence: float
) -> None:
    values = [float(rank) for rank in np.random.default_rng(0).permutation(count)]
    interval = median_interval(values)
    assert interval.limits == ranks
    assert interval.confidence == pytest.approx(confidence)


@pytest.mark.parametrize("count", [6, 9, 15])
def test_the_interval_holds_the_true_median_as_often_as_it_says(count: int) -> None:
    """Draws from a skewed distribution with median 1."""
    draws = np.random.default_rng(1).lognormal(sigma=1.5, size=(4000, count))
    intervals = [median_interval(row.tolist()) for row in draws]
    share = np.mean([interval.low <= 1 <= interval.high for interval in intervals])
    assert share == pytest.approx(intervals[0].confidence, abs=0.015)


def test_spread() -> None:
    assert spread([1.0, 4.0, 2.0]) == 1.5


@pytest.mark.parametrize(
    ("value", "text"),
    [(123456.7, "123,457"), (887.04, "887.0"), (12.345, "12.35"), (0.4321, "0.432")],
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


ROWS = [Measurement(name=name, values=(x, x + 2, x + 1)) for name, x in (("a", 10.0), ("b", 20.0))]


def test_a_report_ends_with_the_finding_and_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "LOAD_BEFORE", 100.0)
    output = tmp_path / "results" / "name.json"
    report(
        "title",
        "laps/s",
        ROWS,
        kind="kind",
        facts={"threads": 2},
        notes=["A note."],
        output=str(output),
    )
    *table, note, busy, finding, line = capsys.readouterr().out.splitlines()
    assert note == "A note." and busy.startswith("The load was 100.0 on")
    assert finding == "b: 21.00 laps/s (20.00 to 22.00), 1.91 times a."
    assert any("21.00" in row and "1.909" in row for row in table)
    bundle = read_bundle(output)
    assert bundle == json.loads(line)
    assert bundle["values"] == {"a": [10, 12, 11], "b": [20, 22, 21]}
    assert (bundle["median"]["b"], bundle["interval"]["b"]) == (21, [20, 22])
    assert (bundle["confidence"]["b"], bundle["spread"]["b"]) == (0.75, pytest.approx(2 / 21))
    assert (bundle["threads"], bundle["finding"]) == (2, finding)
    assert bundle["environment"]["numpy"]


def test_an_idle_machine_gives_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "LOAD_BEFORE", 0.0)
    assert provenance.busy_warning() is None


def test_facts_can_t_replace_entries_of_the_result() -> None:
    with pytest.raises(ValueError, match="unit"):
        report("title", "laps/s", ROWS, kind="kind", facts={"unit": "s"})


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for name, part in parts:
        if isinstance(part, dict | list):
            yield from leaves(part, (*path, name))
        else:
            yield (*path, name)


BUNDLE = seal({"values": {"a": (1.5, 2.0)}, "by_threads": {2: 1.0, 10: 3}, "gpu": None, "ü": "é"})


@given(st.sampled_from(list(leaves(BUNDLE))), st.one_of(st.none(), st.integers(), st.text()))
def test_an_edit_is_rejected(path: tuple[Any, ...], value: Any) -> None:
    edited = copy.deepcopy(BUNDLE)
    *folders, name = path
    entry: Any = edited
    for folder in folders:
        entry = entry[folder]
    if entry[name] == value:
        verify(edited, "it")
        return
    entry[name] = value
    with pytest.raises(DataError, match=r"^it "):
        verify(edited, "it")


def test_added_and_removed_entries_are_rejected() -> None:
    verify(json.loads(json.dumps(BUNDLE)), "it")
    for edited in (
        {**BUNDLE, "more": 1},
        {name: value for name, value in BUNDLE.items() if name != "gpu"},
    ):
        with pytest.raises(DataError, match="it was edited or damaged"):
            verify(edited, "it")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "its last line is not JSON"),
        ("[1]", "it is not a JSON object"),
        ("{}", "is not a result of a benchmark"),
        ('{"format": "shardline measurement", "version": 9}', "has version 9"),
    ],
)
def test_a_file_that_is_not_a_result_is_rejected(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(DataError, match=r"x\.json can't be read"):
        read_bundle(path)
    path.write_text(text)
    with pytest.raises(DataError, match=rf"x\.json.*{sentence}"):
        read_bundle(path)


def test_a_result_that_can_t_be_written_is_still_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=f"{tmp_path} can't be written"):
        publish({"benchmark": "title"}, str(tmp_path))
    verify(json.loads(capsys.readouterr().out), "stdout")


def test_a_terminal_gets_no_json_and_loses_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(DataError, match=r"can't be written .*: the result is in (.*\.json)\."):
        publish({"benchmark": "title"}, str(tmp_path))
    assert terminal.getvalue() == ""
    (saved,) = tmp_path.glob("*.json")
    verify(json.loads(saved.read_text()), "the temporary file")


def test_nan_is_rejected() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        seal({"values": {"a": [float("nan")]}})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [({"runs": 0}, "--runs must be at least 1, not 0"), ({"warmup": -1}, "--warmup must be at")],
)
def test_measuring_rejects(arguments: dict[str, int], sentence: str) -> None:
    with pytest.raises(MisuseError, match=sentence):
        Measuring(**arguments)  # type: ignore[arg-type]


def test_the_commit_is_that_of_this_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        names = ("-c", "user.name=A", "-c", "user.email=a@example.com")
        command = ("git", *names, "-C", str(tmp_path), *arguments)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert provenance.environment()["commit"] is None
    git("init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    facts = provenance.environment()
    assert (facts["commit"], facts["dirty"]) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "code.py").write_text("2\n")
    assert provenance.environment()["dirty"] is True
    # Installed inside a checkout of another project, it has no commit.
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "site-packages")
    (tmp_path / "site-packages").mkdir()
    facts = provenance.environment()
    assert (facts["commit"], facts["dirty"]) == (None, None)
