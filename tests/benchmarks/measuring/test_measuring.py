"""Measuring: what runs when, how far a median can be trusted, and results that notice an edit."""

import copy
import json
import subprocess
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measuring import provenance
from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.config import Measuring
from benchmarks.measuring.intervals import median_interval, spread
from benchmarks.measuring.laps import lap, world_lap
from benchmarks.measuring.result_file import publish, read_bundle, seal, verify
from benchmarks.measuring.table import report
from benchmarks.measuring.text import figure
from pipeline.errors import DataError, MisuseError
from trainer.distributed.collectives import World


def test_contenders_alternate_and_warm_up_is_dropped() -> None:
    calls: list[str] = []

    def contender(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    first, second = alternate(
        {"a": lambda: contender("a"), "b": lambda: contender("b")}, runs=3, warmup=1
    )
    assert "".join(calls) == "abababab"
    assert (first.name, first.values, first.median) == ("a", (3.0, 5.0, 7.0), 5.0)
    assert second.values == (4.0, 6.0, 8.0)
    assert ratio(second, first).values == pytest.approx((4 / 3, 6 / 5, 8 / 7))


def test_a_lap_counts_what_it_drew_and_waits_for_the_device() -> None:
    waits: list[None] = []
    run = lap(repeat(8), 0.01, lambda: waits.append(None))
    assert run.seconds >= 0.01 and run.images > 0 and run.images % 8 == 0
    assert run.images_per_second == pytest.approx(run.images / run.seconds)
    assert len(waits) == 2


def test_a_lap_of_the_world_lies_between_barriers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two ranks; this one's figures are real, the other's given."""
    order: list[str] = []
    other = [24.0, 7.0, 5.0, 6.0]
    monkeypatch.setattr(World, "barrier", lambda world: order.append("barrier"))
    monkeypatch.setattr(World, "all_gather", lambda world, values: [list(values), other])

    def work() -> int:
        order.append("work")
        return 8

    world = World(device=torch.device("cpu"), world_size=2)
    run = world_lap(work, world, lambda: order.append("synchronize"))
    assert order == ["synchronize", "barrier", "work", "synchronize", "barrier"]
    assert (run.images, run.seconds, run.rank_seconds[1]) == (32, 7.0, 6.0)
    assert 5.0 <= run.cpu_seconds < 6.0
    assert run.images_per_second == 32 / 7


@pytest.mark.parametrize(
    ("count", "places", "confidence"),
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
def test_the_interval_is_the_narrowest_that_suffices(
    count: int, places: tuple[int, int], confidence: float
) -> None:
    values = [float(place) for place in np.random.default_rng(0).permutation(count)]
    found = median_interval(values)
    assert (found.low, found.high) == places
    assert found.confidence == pytest.approx(confidence)


@pytest.mark.parametrize("count", [6, 9, 15])
def test_the_interval_holds_the_true_median_as_often_as_it_says(count: int) -> None:
    """Of a lopsided distribution, whose median is 1."""
    draws = np.random.default_rng(1).lognormal(sigma=1.5, size=(4000, count))
    found = [median_interval(row.tolist()) for row in draws]
    share = np.mean([each.low <= 1 <= each.high for each in found])
    assert share == pytest.approx(found[0].confidence, abs=0.015)


def test_spread() -> None:
    assert spread([1.0, 4.0, 2.0]) == 1.5


@pytest.mark.parametrize(
    ("value", "text"),
    [(123456.7, "123,457"), (887.04, "887.0"), (12.345, "12.35"), (0.4321, "0.432")],
)
def test_figures_for_people(value: float, text: str) -> None:
    assert figure(value) == text


ROWS = [Measurement(name=name, values=(x, x + 2, x + 1)) for name, x in (("a", 10.0), ("b", 20.0))]


def test_a_report_ends_with_a_sentence_and_a_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "LOAD_BEFORE", 100.0)
    output = tmp_path / "results" / "race.json"
    report(
        "race",
        "laps/s",
        ROWS,
        kind="race",
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


def test_an_idle_machine_is_worth_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "LOAD_BEFORE", 0.0)
    assert provenance.busy_warning() is None


def test_a_report_s_facts_hide_nothing() -> None:
    with pytest.raises(ValueError, match="unit"):
        report("race", "laps/s", ROWS, kind="race", facts={"unit": "s"})


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for name, part in parts:
        if isinstance(part, dict | list):
            yield from leaves(part, (*path, name))
        else:
            yield (*path, name)


BUNDLE = seal({"values": {"a": (1.5, 2.0)}, "by_threads": {2: 1.0, 10: 3}, "gpu": None, "ü": "é"})


@given(st.sampled_from(list(leaves(BUNDLE))), st.one_of(st.none(), st.integers(), st.text()))
def test_an_edit_is_noticed(path: tuple[Any, ...], value: Any) -> None:
    edited = copy.deepcopy(BUNDLE)
    *folders, name = path
    place: Any = edited
    for folder in folders:
        place = place[folder]
    if place[name] == value:
        verify(edited, "it")
        return
    place[name] = value
    with pytest.raises(DataError, match=r"^it "):
        verify(edited, "it")


def test_what_was_added_or_left_out_is_noticed() -> None:
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
        ("", "its last line is no JSON"),
        ("[1]", "holds no JSON object"),
        ("{}", "is no result of a benchmark"),
        ('{"format": "shardline measurement", "version": 9}', "is of version 9"),
    ],
)
def test_what_is_no_bundle_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(DataError, match=r"x\.json can't be read"):
        read_bundle(path)
    path.write_text(text)
    with pytest.raises(DataError, match=rf"x\.json.*{sentence}"):
        read_bundle(path)


def test_a_result_that_can_t_be_written_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=f"{tmp_path} can't be written"):
        publish({"benchmark": "race"}, str(tmp_path))
    verify(json.loads(capsys.readouterr().out), "stdout")


def test_no_number_is_no_result() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        seal({"values": {"a": [float("nan")]}})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [({"runs": 0}, "--runs must be at least 1, not 0"), ({"warmup": -1}, "--warmup must be at")],
)
def test_measuring_refuses(arguments: dict[str, int], sentence: str) -> None:
    with pytest.raises(MisuseError, match=sentence):
        Measuring(**arguments)  # type: ignore[arg-type]


def test_the_commit_is_that_of_this_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    found = provenance.environment()
    assert (found["commit"], found["dirty"]) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "code.py").write_text("2\n")
    assert provenance.environment()["dirty"] is True
    # Installed in a folder of somebody's own checkout, it belongs to no commit.
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "site-packages")
    (tmp_path / "site-packages").mkdir()
    found = provenance.environment()
    assert (found["commit"], found["dirty"]) == (None, None)
