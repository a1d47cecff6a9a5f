"""Intervals: throughput is images over time, not a mean of rates."""

import os
from pathlib import Path

import pytest
import torch

from pipeline.duration_text import clock
from trainer.loop import StepRecord
from trainer.meter import merge_ranks, peak_memory_bytes
from trainer.run.display import progress_parts

LAST = StepRecord(
    position=100,
    images=5,
    loss=torch.tensor(1.0),
    learning_rate=0.5,
    data_seconds=0.0,
    compute_seconds=0.0,
)


def test_merges_the_ranks_into_one_interval() -> None:
    interval = merge_ranks(
        [(1.0, 20, 0.5, 1.5, 9.0), (3.0, 20, 1.5, 0.5, 7.0)], last=LAST, seconds=2.0
    )
    assert (interval.images, interval.loss, interval.images_per_second) == (40, 2.0, 20.0)
    assert (interval.data_seconds, interval.data_seconds_max) == (1.0, 1.5)
    assert (interval.data_share, interval.memory_bytes) == (0.75, 9)


def test_the_progress_line_has_rate_share_loss_and_time_left() -> None:
    interval = merge_ranks([(2.5, 100, 0.5, 0.5, 1.0)], last=LAST, seconds=2.0)
    where = {"epoch": 2.0, "epochs": 67.0, "remaining": 3250}
    parts = progress_parts(interval.as_record(), **where, images_per_second=0.0)
    assert parts[:4] == ["epoch 2.00/67.00", "1:05 left", "loss 2.5000", "50.0 images/s"]
    assert parts[4:] == ["25.0% waiting for data", "lr 0.50000"]


def test_the_time_left_is_known_before_the_first_record() -> None:
    where = {"epoch": 2.0, "epochs": 67.0, "remaining": 3250}
    assert progress_parts(None, **where, images_per_second=10.0) == [
        "epoch 2.00/67.00",
        "5:25 left",
    ]
    assert progress_parts(None, **where, images_per_second=0.0) == ["epoch 2.00/67.00"]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3723, "1:02:03")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_memory_is_the_peak_of_this_process() -> None:
    block = torch.ones(2**26, dtype=torch.uint8)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    del block
    peak = peak_memory_bytes(torch.device("cpu"))
    # The kernel counts pages in batches.
    assert resident - 2**24 < peak < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
