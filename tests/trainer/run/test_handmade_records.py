"""Records that were made by hand or damaged are refused by file, line and field."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline.errors import DataError
from tests.helpers.run_records import records, write
from trainer.plot import main
from trainer.run.metrics_reader import read_records

NO_NUMBERS = (None, "1", True, [], {}, -1, float("inf"), 10**400)


@pytest.mark.parametrize(
    ("kind", "field", "values"),
    [
        ("train", "kind", (None, 1, [])),
        ("train", "process", (*NO_NUMBERS, 0.5)),
        ("train", "position", (*NO_NUMBERS, float("nan"))),
        ("train", "epoch", (*NO_NUMBERS, float("nan"), 1e-300)),
        ("train", "elapsed_seconds", (*NO_NUMBERS, float("nan"))),
        ("train", "images", (*NO_NUMBERS, 0)),
        ("train", "seconds", (*NO_NUMBERS, 0, 1e-300)),
        ("train", "learning_rate", NO_NUMBERS),
        ("train", "data_seconds_max", NO_NUMBERS),
        ("train", "memory_bytes", NO_NUMBERS),
        ("train", "loss", NO_NUMBERS[:5]),
        ("evaluation", "loss", NO_NUMBERS[:5]),
        ("evaluation", "top1", NO_NUMBERS[:5]),
    ],
)
def test_a_wrong_value_is_named(
    tmp_path: Path, kind: str, field: str, values: tuple[Any, ...]
) -> None:
    lines = records(seconds=1.0, top1=0.5)
    number = next(n for n, line in enumerate(lines, 1) if line["kind"] == kind)
    for count, value in enumerate(values):
        wrong = [*lines]
        wrong[number - 1] = {**lines[number - 1], field: value}
        folder = write(tmp_path / str(count), wrong)
        with pytest.raises(DataError) as raised:
            read_records(folder)
        where = f"{folder}/metrics.jsonl, line {number}: the field {field!r} can't be "
        assert raised.value.message.startswith(where), value


@pytest.mark.parametrize(
    "line", ["[" * 100_000, "1" * 5000, '{"kind": "train"}', "[]", '"\x1b[2J"', "\x00", "null"]
)
def test_a_line_that_is_no_record(tmp_path: Path, line: str) -> None:
    folder = write(tmp_path / "run", records(seconds=1.0))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(line + "\n")
    result = CliRunner().invoke(main, [str(folder)])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {folder}/metrics.jsonl, line 21: ")
    assert "\x1b" not in result.stderr


def test_a_metric_may_be_nan(tmp_path: Path) -> None:
    lines = records(seconds=1.0, top1=0.5)
    lines[2] |= {"top1": float("nan"), "loss": float("nan")}
    folder = write(tmp_path / "run", lines)
    assert json.dumps(read_records(folder)) == json.dumps(lines)
