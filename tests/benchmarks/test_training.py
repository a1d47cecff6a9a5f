"""``python -m benchmarks.training``: rates from metrics.jsonl, and the cost of checkpoints."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.measuring.alternate import Measurement
from benchmarks.training import (
    BARE,
    LOADER,
    PLAIN,
    REAL,
    SAVING,
    SYNTHETIC,
    main,
    rate,
    saving_seconds,
)
from tests.helpers import tiny_trainer


def measure(*arguments: str) -> tuple[str, dict[str, Any]]:
    small = ["--model", tiny_trainer.MODEL, "--image-size", "32", "--runs", "2", "--warmup", "0"]
    result = CliRunner().invoke(main, [*small, *arguments])
    assert result.exit_code == 0, result.output
    *_, finding, bundle = result.output.splitlines()
    record: dict[str, Any] = json.loads(bundle)
    return finding, record


def test_the_trainer_is_compared_with_a_bare_loop_and_the_loader(digits_shards: Path) -> None:
    finding, record = measure("--shards", str(digits_shards))
    assert record["values"].keys() == {BARE, SYNTHETIC, LOADER, REAL}
    assert all(value > 0 for values in record["values"].values() for value in values)
    pairs = zip(*(record["values"][name] for name in (SYNTHETIC, BARE)), strict=True)
    assert record["ratios"][f"{SYNTHETIC} / {BARE}"] == pytest.approx([a / b for a, b in pairs])
    assert "target 0.98" in finding and "target 0.97" in finding


def test_checkpoints_are_measured() -> None:
    finding, record = measure("--saving")
    assert record["values"].keys() == {PLAIN, SAVING}
    assert "at one a minute" in finding


def test_the_time_of_a_checkpoint() -> None:
    plain = Measurement(name=PLAIN, values=(100.0, 200.0))
    saving = Measurement(name=SAVING, values=(80.0, 100.0))
    checkpoint = saving_seconds(plain, saving, images=400)
    assert checkpoint.values == pytest.approx((1.0, 2.0))


def test_a_rate_is_from_the_first_to_the_last_record() -> None:
    def record(elapsed_seconds: float, kind: str = "train") -> dict[str, Any]:
        return {"kind": kind, "images": 30, "elapsed_seconds": elapsed_seconds}

    assert (
        rate([record(100), record(102), record(103), record(106), record(109, "evaluation")]) == 15
    )
