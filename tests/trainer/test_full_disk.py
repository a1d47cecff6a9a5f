"""A trainer on a full disk: a sentence, the old checkpoint, and no half-written file."""

import errno
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import DataError
from tests.hostile.test_checkpoints import IDENTITY, state
from trainer.checkpoints import checkpoint_file
from trainer.checkpoints.checkpoint_file import load_checkpoint, write_checkpoint
from trainer.checkpoints.retention import CheckpointManager
from trainer.evaluation.confusion import Confusion, draw_confusion
from trainer.run.metrics_writer import MetricsFile
from trainer.run.run_dir import write_config, write_rows
from trainer.run.trackers.sink import TrackedRun
from trainer.run.trackers.tensorboard import TensorBoard


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes: the same errors as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_files_of_a_run_end_in_the_same_sentence(tmp_path: Path) -> None:
    confusion = Confusion(classes=("a", "b"), counts=np.eye(2, dtype=np.int64))
    write_config(tmp_path, {"old": 1})
    writers = (
        lambda: write_config(tmp_path, {"text": 5000 * "x"}),
        lambda: write_rows(tmp_path / "bad_samples.csv", [["sample", 5000 * "x"]]),
        lambda: draw_confusion(confusion, tmp_path / "confusion.png"),
    )
    with largest_file(4000):
        for write in writers:
            with pytest.raises(DataError, match=r"Cannot write .* \(File too large\): free disk"):
                write()
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert json.loads((tmp_path / "config.json").read_text()) == {"old": 1}


def test_metrics_are_not_hidden_by_closing(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path, samples=8, position=8)
    record = metrics.new_record("evaluation", position=8) | {"loss": 1.0}
    metrics.write(record)
    with (
        largest_file((tmp_path / "metrics.jsonl").stat().st_size + 10),
        pytest.raises(DataError, match=r"metrics\.jsonl \(File too large\): free disk space, then"),
    ):
        try:
            metrics.write(record)
        finally:
            metrics.close()
    resumed = MetricsFile(tmp_path, samples=8, position=8)
    assert resumed.records == [record]
    resumed.close()


def test_tensorboard_says_so(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = TrackedRun(directory=tmp_path, config={}, position=0, records=(), say=print)
    board = TensorBoard(run)
    record = {"kind": "train", "position": 8, "time": 1.0, "loss": 1.0}
    with largest_file(10), pytest.raises(DataError, match=r"tensorboard \(File too large\)"):
        for _ in range(20):
            board.write(record)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tensorboard").symlink_to(tmp_path)
    with pytest.raises(DataError, match="is a link"):
        TensorBoard(replace(run, directory=tmp_path / "other"))


def test_a_checkpoint_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, state())
    before = path.read_bytes()
    for size in (100, 2000, len(before) - 100):
        with largest_file(size), pytest.raises(DataError, match=r"checkpoint\.pt \(File too large"):
            write_checkpoint(path, state())
        assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pt"]
        assert path.read_bytes() == before


def test_a_checkpoint_is_tried_again_after_room_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 3
    original = torch.save

    def limited(content: object, file: object) -> None:
        inodes = {entry.stat().st_ino for entry in tmp_path.iterdir()}
        if len(inodes) > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(content, file)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint_file.torch, "save", limited)
    content = state()
    with CheckpointManager(tmp_path, keep=3, minutes=0, writes=True) as checkpoints:
        for step in range(1, 6):
            content["progress"]["position"] = content["progress"]["evaluated_position"] = 640 * step
            copied = {**content, "progress": dict(content["progress"])}
            checkpoints.save(lambda copied=copied: copied, best=False)  # type: ignore[misc]
    assert load_checkpoint(tmp_path / "checkpoint.pt", IDENTITY).progress.position == 3200
    assert len([*tmp_path.glob("checkpoint-*.pt")]) == 3
    with (
        pytest.raises(DataError, match="No space left on device"),
        CheckpointManager(tmp_path, keep=4, minutes=0, writes=True) as checkpoints,
    ):
        checkpoints.save(lambda: content, best=False)


def test_a_file_system_that_cannot_sync_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = os.fsync

    def refuse(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(errno.EINVAL, "Invalid argument")
        original(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    for _ in range(2):
        write_checkpoint(tmp_path / "checkpoint.pt", state())
    assert capsys.readouterr().err.count("can't sync folders (Invalid argument)") == 1
