"""A run whose shards were appended to: it is not resumed, but its weights train on."""

import shutil
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from tests.helpers.growing import grow
from tests.helpers.processes import lines
from tests.helpers.shard_runs import made
from tests.helpers.tiny_trainer import train_in
from trainer.trained_run import open_run


def test_a_run_before_an_append(tmp_path: Path) -> None:
    made(grow(tmp_path / "src", range(24), 3), tmp_path / "shards", "--workers", "1")
    train_in(tmp_path, "run")
    shutil.copytree(tmp_path / "shards", tmp_path / "earlier")
    for number in range(2):
        grow(tmp_path / "src", range(30 + 10 * number, 36 + 10 * number), 3)
        made(tmp_path / "src", tmp_path / "shards", "--append", "--workers", "1")
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    with pytest.raises(DataError) as caught:
        train_in(tmp_path, "run", epochs=2.0)
    assert "before these shards were appended to" in caught.value.message
    assert f"give --pretrained {checkpoint} with another --out" in caught.value.message
    with pytest.raises(DataError, match=r"was appended to since .* give --shards"):
        open_run(tmp_path / "run").open_shards(None)
    train_in(tmp_path, "next", pretrained=str(checkpoint))
    samples = Dataset(tmp_path / "shards").manifest.splits["train"].samples
    assert sum(line["images"] for line in lines(tmp_path / "next", "train")) == -(-samples // 8) * 8
    assert samples > Dataset(tmp_path / "earlier").manifest.splits["train"].samples
    # Where the shards were copied before, the run goes on.
    (tmp_path / "shards").rename(tmp_path / "later")
    (tmp_path / "earlier").rename(tmp_path / "shards")
    train_in(tmp_path, "run", epochs=2.0)
