"""Planted copies are found, and those that a table lacks are counted as not found."""

import csv
from pathlib import Path

import pytest

from benchmarks.sharding.planted_copies import KINDS, plant_copies, score_table
from tests.helpers.shard_runs import made, photographs
from tests.helpers.sharding_benchmark import TINY, ran, record_of


def test_the_score_of_a_table(tmp_path: Path) -> None:
    src = photographs(tmp_path / "src", count=120, side=64)
    before = {path.read_bytes() for path in src.rglob("*.png")}
    planted = plant_copies(src)
    assert [one.kind for one in planted] == [*KINDS, *KINDS]
    assert all(Path(one.original).parent != Path(one.copy).parent for one in planted)
    assert len(list(src.rglob("*.*"))) == 126 and len(before) == 120
    out = tmp_path / "out"
    made(src, out, "--near-duplicates", "--encode", "keep")
    table = out / "duplicates.csv"
    score = score_table(table, planted)
    exact, *others = KINDS
    assert score.found == dict.fromkeys(KINDS, (2, 2))
    assert score.near_planted == 4 <= score.near
    with table.open(newline="") as file:
        header, *rows = csv.reader(file)
    kept = [row for row in rows if "copy-000000" not in row[-1]]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([header, *kept])
    assert score_table(table, planted).found == {exact: (1, 2), **dict.fromkeys(others, (2, 2))}


@pytest.mark.long
def test_the_part_states_cost_and_found_copies(tmp_path: Path) -> None:
    src = photographs(tmp_path / "src", count=120, side=64)
    record = record_of(ran("--src", str(src), "--part", "duplicates", "--runs", "1", *TINY))
    (target,) = record["bars"]
    name = "cpu_seconds_per_image"
    ratio = record[name]["equal images"] / record[name]["without a search"]
    assert target["value"] == pytest.approx(ratio) and target["at_most"]
    assert record["amount"] == 20 and record["planted"]["found"] == {next(iter(KINDS)): [1, 1]}
    assert record["bytes_per_image"].keys() == record["median"].keys()
