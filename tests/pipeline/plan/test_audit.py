"""The audit finds the errors of an order, and none in a correct one."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.plan.audit import audit, main, measure_quality
from pipeline.plan.order import fixed_order, global_order
from pipeline.storage.dataset import Dataset


def test_audit_counts_a_missing_and_a_repeated_sample() -> None:
    good = global_order(50, 1)

    def twice(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        epochs, samples = good(positions)
        return epochs, np.where((samples == 7) & (epochs == 1), 8, samples)

    for world_size in (1, 2, 3):
        sizes = {"global_batch_size": 12, "world_size": world_size, "epochs": 3}
        assert audit(good, 50, **sizes) == [0, 0, 0]
        assert audit(twice, 50, **sizes) == [0, 2, 0]


def test_quality_distinguishes_a_shuffle_from_a_fixed_order(digits_shards: Path) -> None:
    index = Dataset(digits_shards).split("train")
    shuffled = measure_quality(global_order(len(index), 3), index, 64)
    assert shuffled.run_length[0] == pytest.approx(shuffled.run_length[1], rel=0.05)
    assert abs(shuffled.correlation[0]) < 0.15
    assert measure_quality(fixed_order(len(index)), index, 64).correlation[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Each epoch has each sample once"),
        (["--shuffle", "window", "--shuffle-window", "1"], "Each epoch has each sample once"),
        (["--global-batch-size", "36"], "world sizes 1, 2, 3, 4, 6."),
        (["--fold", "2/5"], "2 epochs of 1,437 samples"),
        (["--global-batch-size", "1"], "world sizes 1."),
        (["--sample-weights", "inverse-frequency"], "an epoch does not have each sample once"),
    ],
)
def test_the_command_prints_counts_and_quality(
    digits_shards: Path, arguments: list[str], words: str
) -> None:
    result = CliRunner().invoke(main, ["--shards", str(digits_shards), *arguments])
    assert result.exit_code == 0, result.output
    assert words in " ".join(result.output.split())
    assert "correlation of samples' indices" in result.output
