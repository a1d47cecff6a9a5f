"""``python -m benchmarks.training``: rates from metrics.jsonl, and what a checkpoint takes."""

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


def measured(*arguments: str) -> tuple[str, dict[str, Any]]:
    small = ["--model", tiny_trainer.MODEL, "--image-size", "32", "--runs", "2", "--warmup", "0"]
    result = CliRunner().invoke(main, [*small, *arguments])
    assert result.exit_code == 0, result.output
    *_, finding, bundle = result.output.splitlines()
    record: dict[str, Any] = json.loads(bundle)
    return finding, record


def test_beside_a_bare_loop_and_on_shards(digits_shards: Path) -> None:
    finding, record = measured("--shards", str(digits_shards))
    assert record["values"].keys() == {BARE, SYNTHETIC, LOADER, REAL}
    assert all(value > 0 for values in record["values"].values() for value in values)
    pairs = zip(*(record["values"][name] for name in (SYNTHETIC, BARE)), strict=True)
    assert record["ratios"][f"{SYNTHETIC} / {BARE}"] == pytest.approx([a / b for a, b in pairs])
    assert "bar 0.98" in finding and "bar 0.97" in finding


def test_while_it_saves() -> None:
    finding, record = measured("--saving")
    assert record["values"].keys() == {PLAIN, SAVING}
    assert "at one a minute" in finding


def test_what_a_checkpoint_takes() -> None:
    plain = Measurement(name=PLAIN, values=(100.0, 200.0))
    saving = Measurement(name=SAVING, values=(80.0, 100.0))
    taken = saving_seconds(plain, saving, images=400)
    assert taken.values == pytest.approx((1.0, 2.0))


def test_a_rate_counts_what_lies_between_the_lines() -> None:
    def line(elapsed_seconds: float, kind: str = "train") -> dict[str, Any]:
        return {"kind": kind, "images": 30, "elapsed_seconds": elapsed_seconds}

    assert rate([line(100), line(102), line(103), line(106), line(109, "evaluation")]) == 15
