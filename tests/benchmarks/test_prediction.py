"""``python -m benchmarks.prediction``: predictions compared with their loader and model."""

import json
from pathlib import Path

import pytest

from benchmarks.measuring.alternate import Measurement
from benchmarks.prediction import LOADER, MODEL, PREDICTION, limit_of, main
from tests.helpers import tiny_trainer
from tests.helpers.cli import invoke


def test_the_limit_of_both() -> None:
    loader = Measurement(name=LOADER, values=(100.0, 300.0))
    model = Measurement(name=MODEL, values=(300.0, 100.0))
    assert limit_of(loader, model, shares_cores=True).values == pytest.approx((75.0, 75.0))
    assert limit_of(loader, model, shares_cores=False).values == (100.0, 100.0)


def test_predictions_are_compared_with_the_limit(digits_shards: Path) -> None:
    small = ("--model", tiny_trainer.MODEL, "--image-size", 32, "--runs", 2, "--warmup", 0)
    result = invoke(main, "--shards", digits_shards, *small)
    assert result.exit_code == 0, result.output
    record = json.loads(result.output.splitlines()[-1])
    rates = record["values"]
    assert rates.keys() == {LOADER, MODEL, PREDICTION, "limit of both"}
    shares = [a / b for a, b in zip(rates[PREDICTION], rates["limit of both"], strict=True)]
    assert record["share_of_limit"] == pytest.approx(shares)
