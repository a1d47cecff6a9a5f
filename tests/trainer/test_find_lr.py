"""``--find-lr``: a suggestion and a curve, and nothing else: no checkpoint, no run."""

import csv
import re
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import trainer.find_lr
from pipeline.errors import DataError, MisuseError
from tests.helpers import tiny_trainer
from tests.helpers.processes import become, exit_codes, free_port
from tests.helpers.runs import saved, train
from trainer.__main__ import main
from trainer.config import Settings
from trainer.find_lr import find_learning_rate
from trainer.find_lr_options import FindLrConfig

FILES = {"find_lr.png", "find_lr.csv", ".lock"}
STEPS = 40


def find(shards: Path, out: Path, steps: int = STEPS, **values: Any) -> None:
    fast = {"model": tiny_trainer.MODEL, "precision": "fp32", "threads": 1}
    settings = {"global_batch_size": 32, "crop_area": (0.8, 1.0), "flip_probability": 0}
    find_learning_rate(
        Settings.from_options(**fast | settings | values, shards=str(shards), out=str(out)),
        FindLrConfig(find_lr=True, find_lr_steps=steps),
    )


def table(out: Path) -> list[dict[str, float]]:
    with (out / "find_lr.csv").open(newline="") as file:
        return [{name: float(cell) for name, cell in row.items()} for row in csv.DictReader(file)]


def suggestion(output: str) -> tuple[float, float]:
    """The option and the peak of the last line."""
    match = re.search(r"Try --learning-rate (\S+) \(a peak of (\S+) at global batch", output)
    assert match, output
    return float(match[1]), float(match[2])


def test_a_rate_is_suggested_and_nothing_else_remains(
    digits_shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    find(digits_shards, tmp_path)
    output = capsys.readouterr().out
    option, peak = suggestion(output)
    # At batch 32 the option is that of batch 256.
    assert option == pytest.approx(8 * peak, rel=0.1)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    rows = table(tmp_path)
    assert 20 < len(rows) <= STEPS and rows[0]["learning_rate"] == pytest.approx(1e-4)
    lowest = min(rows, key=lambda row: row["smoothed_loss"])
    assert peak == pytest.approx(lowest["learning_rate"] / 10, rel=0.1)
    assert f"step 1/{STEPS}  lr 0.0001" in output


@pytest.mark.long
def test_a_training_may_follow_in_the_same_directory_and_is_not_touched_then(
    digits_shards: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        find(digits_shards, tmp_path)
    train(digits_shards, tmp_path, steps=1, model=tiny_trainer.MODEL, resume="never")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(MisuseError, match=r"--out .* holds a run \(config.json\)"):
        find(digits_shards, tmp_path)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert saved(tmp_path)["progress"]["position"] == 64


def test_two_ranks_find_what_one_finds(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    find(digits_shards, tmp_path / "one")
    port = free_port()
    ranks = [
        loaded.Process(target=_find_as, args=(rank, port, digits_shards, tmp_path / "two"))
        for rank in range(2)
    ]
    for rank in ranks:
        rank.start()
    assert exit_codes(ranks) == [0, 0]
    one, two = table(tmp_path / "one"), table(tmp_path / "two")
    # Losses of a diverging model differ, whatever the order of sums.
    falling = [row for row in one if row["learning_rate"] < 0.1]
    assert len(falling) > 20
    for row, other in zip(falling, two, strict=False):
        assert row == pytest.approx(other, rel=1e-3)
    assert {path.name for path in (tmp_path / "two").iterdir()} == FILES


def _find_as(rank: int, port: int, shards: Path, out: Path) -> None:
    become(rank, 2, port)
    find(shards, out)


def test_rates_that_lower_no_loss_end_in_a_sentence(
    digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        trainer.find_lr, "rising_rates", lambda optimizer, steps: np.geomspace(1e-12, 1e-9, steps)
    )
    with pytest.raises(DataError, match="No learning rate lowered the loss in 20 steps, see"):
        find(digits_shards, tmp_path, steps=20)
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_a_loss_of_nan_ends_the_test(
    digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        trainer.find_lr, "rising_rates", lambda optimizer, steps: np.geomspace(1e-3, 1e30, steps)
    )
    # From rates of 0.3 in the third step to 10^30 the loss does not fall.
    with pytest.raises(DataError, match=r"No learning rate lowered the loss in \d steps"):
        find(digits_shards, tmp_path)
    rows = table(tmp_path)
    assert len(rows) < STEPS and all(np.isfinite(list(row.values())).all() for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--find-lr-steps", "30"], "--find-lr-steps has an effect with --find-lr only"),
        (["--find-lr", "--find-lr-steps", "3"], "--find-lr-steps must be at least 20"),
        (["--find-lr", "--resume", "a.pt"], "omit --resume a.pt"),
        (["--find-lr", "--out", "run"], "--out run holds a run (config.json)"),
    ],
)
def test_misuse(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    digits_shards: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").touch()
    result = CliRunner().invoke(main, ["--shards", str(digits_shards), *arguments])
    assert result.exit_code == 2 and message in " ".join(result.output.split()), result.output
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
