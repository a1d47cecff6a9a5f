"""bench-loader attributes time to the right stages; no test asserts a time."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.loader import __main__ as loader
from benchmarks.loader import by_stage, tuning
from benchmarks.loader.config import COLD, FULL, HAND_OVER, READ, STAGES, LoaderBenchmark
from benchmarks.loader.setup import open_setup
from benchmarks.loader.timed_batches import TimedBatches
from benchmarks.measuring.page_cache import disk_bytes, drop, resident_share
from benchmarks.measuring.provenance import DALI_PACKAGES
from benchmarks.measuring.result_file import verify
from benchmarks.measuring.text import figure
from pipeline import batches as decoding
from pipeline.config import PipelineConfig
from pipeline.fold_index import open_index
from pipeline.storage.reader import ShardReader
from tests.helpers.cli import invoke
from tests.helpers.handmade import write_shards


def measured(shards: Path, *arguments: str) -> tuple[list[str], dict[str, Any]]:
    """The printed lines and the result of a short measurement."""
    fixed = ("--shards", str(shards), "--seconds", "0.02")
    runs = () if {"--runs", "--doctor"} & {*arguments} else ("--runs", "3")
    result = invoke(loader.main, *fixed, *runs, *arguments)
    assert result.exit_code == 0, result.output
    *lines, last = result.output.splitlines()
    record = json.loads(last)
    verify(record, "stdout")
    assert lines[-1] == record["finding"]
    return lines, record


def test_the_stages(digits_shards: Path, tmp_path: Path) -> None:
    output = tmp_path / "stages.json"
    lines, record = measured(
        digits_shards, "--threads", "3", "--batch-size", "16", "--output", str(output)
    )
    assert json.loads(output.read_text()) == record
    assert list(record["values"])[:5] == list(STAGES)
    assert all(len(values) == 3 for values in record["values"].values())
    assert record["threads"] == 3 and record["settings"]["batch_size"] == 16
    assert record["fits_in_page_cache"] is True
    assert any(record["environment"].get(package) for package in DALI_PACKAGES)
    assert any(figure(record["median"][FULL]) in line for line in lines)
    assert any(line.lstrip().startswith(f"{HAND_OVER}: ") for line in lines)
    assert sum(record["share_of_time"].values()) == pytest.approx(1)
    for figures in record["figures"].values():
        assert figures["gpu_jpeg_decoder_use"] is None or 0 <= figures["gpu_jpeg_decoder_use"] <= 1
        assert figures["batch_seconds_p50"] <= figures["batch_seconds_p99"]
        assert figures["images_per_cpu_second"] > 0 and figures["first_batch_seconds"] > 0


@pytest.mark.parametrize(
    ("read_seconds", "hand_over_seconds", "shares", "limit"),
    [
        (0.1, 0, {READ: 1, HAND_OVER: 0}, "Reading is the limit"),
        # Batches are read while others are handed over: a batch takes as long as the longer.
        (0.06, 0.15, {READ: 0.4, HAND_OVER: 0.6}, "Handing over to torch is the limit"),
    ],
)
def test_known_costs_are_attributed_to_their_stages(
    read_seconds: float,
    hand_over_seconds: float,
    shares: dict[str, float],
    limit: str,
    digits_shards: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch costs so many seconds in the functions that its stage calls, by no clock."""
    called: set[float] = set()
    noted(monkeypatch, ShardReader, "read", lambda: called.add(read_seconds))
    noted(monkeypatch, decoding, "_hand_over", lambda: called.add(hand_over_seconds))
    original = TimedBatches.__call__

    def rate(self: TimedBatches) -> float:
        called.clear()
        original(self)
        return 16 / max(called)

    monkeypatch.setattr(TimedBatches, "__call__", rate)
    monkeypatch.setattr(by_stage, "can_be_cold", lambda resident: False)
    _, record = measured(digits_shards, "--batch-size", "16", "--runs", "1", "--warmup", "0")
    assert {name: record["share_of_time"][name] for name in shares} == pytest.approx(shares)
    assert record["finding"].startswith(limit)
    assert f"{max(shares.values()):.0%} of the time in that stage" in record["finding"]
    assert record["median"][FULL] == pytest.approx(16 / max(read_seconds, hand_over_seconds))


def noted(patch: pytest.MonkeyPatch, owner: Any, name: str, note: Callable[[], None]) -> None:
    """Call `note` before each call of the function `name` of `owner`."""
    original: Callable[..., Any] = getattr(owner, name)

    def calls(*arguments: Any) -> Any:
        note()
        return original(*arguments)

    patch.setattr(owner, name, calls)


def test_cold_files_are_read_from_disk(digits_shards: Path) -> None:
    """By the bytes that the kernel counts."""
    _, record = measured(digits_shards, "--runs", "2")
    if COLD[FULL] not in record["median"]:
        pytest.skip("files stay in the page cache here (tmpfs)")
    figures = record["figures"]
    if not figures[COLD[READ]]["disk_bytes_share"]:
        pytest.skip("the kernel counts no reads here (a network file system)")
    for name in COLD:
        assert figures[name]["disk_bytes_share"] < 0.05 < figures[COLD[name]]["disk_bytes_share"]


def test_the_page_cache(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(2**20))
    with path.open("rb") as file:
        os.fsync(file.fileno())
    assert resident_share([path]) == 1
    drop([path])
    if resident_share([path]) == 1:
        pytest.skip("files stay in the page cache here (tmpfs)")
    assert resident_share([path]) == 0
    before = disk_bytes()
    path.read_bytes()
    assert resident_share([path]) == 1
    if before is not None and disk_bytes() != before:
        assert (disk_bytes() or 0) - before >= 2**20


@pytest.mark.parametrize(
    ("sweep", "rows"),
    [("threads", ["threads 1", "threads 2", "threads 3"]), ("cache", ["cache none", "cache host"])],
)
def test_sweeps(sweep: str, rows: list[str], digits_shards: Path) -> None:
    lines, record = measured(digits_shards, "--sweep", sweep, "--threads", "3", "--runs", "2")
    assert list(record["median"])[: len(rows)] == rows
    assert record["finding"].startswith("Fastest is")
    assert all(any(row in line for line in lines) for row in rows)


@pytest.mark.long
def test_the_same_images_in_several_formats(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards")
    _, record = measured(shards, "--sweep", "format", "--runs", "1", "--batch-size", "8")
    assert set(record["median"]) == {"as it is", "JPEG q90", "PNG"}


def test_a_sweep_of_the_hardware_decoder_needs_a_gpu(digits_shards: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = invoke(loader.main, "--shards", str(digits_shards), "--sweep", "hw-decoder-load")
    assert result.exit_code == 2
    assert "needs a GPU" in result.output


def test_tuning_writes_a_profile_that_can_be_loaded(
    digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "SEARCH_RUNS", 1)
    profile = tmp_path / "profile.json"
    _, record = measured(digits_shards, "--tune", "--profile-out", str(profile), "--runs", "2")
    settings = json.loads(profile.read_text())
    assert settings == record["profile"]
    assert settings.keys() >= {"threads", "prefetch", "read_ahead"}
    assert {"threads", "prefetch", "read_ahead"} <= record["tried"][0].keys()
    assert len(record["gain"]) == 2
    loaded = invoke(loader.main, "--profile-file", str(profile), "--shards", "nowhere")
    assert loaded.exit_code == 1


def test_the_doctor(digits_shards: Path) -> None:
    lines, record = measured(digits_shards, "--doctor", "--shuffle", "off", "--threads", "99")
    facts = [finding["fact"] for finding in record["findings"]]
    assert "100% of 256 images are PNG" in facts
    for word in ("PNG", "--shuffle off", "99 threads", "open files", "/dev/shm", "page cache"):
        assert any(word in fact for fact in facts)
    for finding in record["findings"]:
        mark = " ! " if finding["advice"] else "ok "
        assert any(line.startswith(mark) and finding["fact"] in line for line in lines)
    assert "is the limit" in record["finding"]


def test_a_part_of_the_training_samples_is_read(digits_shards: Path) -> None:
    """A batch size above the part is refused with the number of the part, not of the split."""
    words = ("--shards", str(digits_shards), "--train-samples", "20", "--batch-size", "21")
    result = invoke(loader.main, *words)
    assert result.exit_code == 2
    assert "is more than the 20 samples of split train: give at most 20." in result.output
    result = invoke(loader.main, *words, "--split", "val")
    assert result.exit_code == 2
    assert "--train-samples 20 is a part of train, but --split is val" in result.output
    config = PipelineConfig(shards=str(digits_shards), train_samples="20", threads=1)
    with open_setup(LoaderBenchmark(batch_size=10), config) as setup:
        part = open_index(setup.dataset, config, "train").rows()
        with setup.loader(config, 10) as batches:
            seen = [
                sample
                for batch, _ in zip(batches, range(4), strict=False)
                for sample in batch.samples
            ]
    assert len(part) == 20 and sorted(seen) == sorted([*part, *part])
