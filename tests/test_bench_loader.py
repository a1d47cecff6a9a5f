"""bench-loader says the truth about where the time goes; how fast it is, no test asserts."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from handmade import write_shards
from known_sleeps import ATTEMPTS

from benchmarks import loader, loader_rungs, loader_tune
from benchmarks.bundle import verify
from benchmarks.decoder_use import parse_use
from benchmarks.health import (
    files_finding,
    format_findings,
    order_finding,
    shared_memory_finding,
    size_finding,
    threads_finding,
)
from benchmarks.loader_rungs import find_limit, stage_shares
from benchmarks.loader_sweeps import find_fastest
from benchmarks.loader_tune import choose, say_gain
from benchmarks.measure import Measurement, figure
from benchmarks.page_cache import disk_bytes, drop, resident_share
from benchmarks.rung_names import COLD, FULL, HAND_OVER, READ, RUNGS
from pipeline import decoding
from pipeline.reader import ShardReader
from tools.images.headers import Header, read_header


def invoked(*arguments: str) -> Result:
    return CliRunner().invoke(loader.main, arguments)


def measured(shards: Path, *arguments: str) -> tuple[list[str], dict[str, Any]]:
    """What is printed above the JSON line, and that, of a short measurement."""
    fixed = ("--shards", str(shards), "--seconds", "0.02", "--runs", "3")
    result = invoked(*fixed, *arguments)
    assert result.exit_code == 0, result.output
    *lines, last = result.output.splitlines()
    record = json.loads(last)
    verify(record, "stdout")
    assert lines[-1] == record["finding"]
    return lines, record


def test_the_rungs(digits_shards: Path, tmp_path: Path) -> None:
    output = tmp_path / "rungs.json"
    lines, record = measured(
        digits_shards, "--threads", "3", "--batch-size", "16", "--output", str(output)
    )
    assert json.loads(output.read_text()) == record
    assert list(record["values"])[:5] == list(RUNGS)
    assert all(len(values) == 3 for values in record["values"].values())
    assert record["threads"] == 3 and record["settings"]["batch_size"] == 16
    assert record["fits_in_page_cache"] is True
    assert record["environment"]["nvidia-dali-cuda120"]
    assert any(figure(record["median"][FULL]) in line for line in lines)
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
def test_known_sleeps_are_found(
    read_seconds: float,
    hand_over_seconds: float,
    shares: dict[str, float],
    limit: str,
    digits_shards: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of so many seconds for each batch."""
    slow(monkeypatch, ShardReader, "read", read_seconds)
    slow(monkeypatch, decoding, "_hand_over", hand_over_seconds)
    monkeypatch.setattr(loader_rungs, "can_be_cold", lambda resident: False)
    short = ("--prefetch", "1", "--read-ahead", "1", "--runs", "1", "--warmup", "0")
    expected = pytest.approx(shares, abs=0.03)
    for _ in range(ATTEMPTS):
        _, record = measured(digits_shards, "--batch-size", "16", *short)
        found = {name: record["share_of_time"][name] for name in shares}
        if found == expected:
            break
    assert found == expected
    assert record["finding"].startswith(limit)
    assert f"{max(found.values()):.0%} of the time in that stage" in record["finding"]
    assert record["median"][FULL] == pytest.approx(16 / max(read_seconds, hand_over_seconds), 0.1)


def slow(patch: pytest.MonkeyPatch, owner: Any, name: str, seconds: float) -> None:
    """What `owner` calls `name` takes so much longer."""
    honest: Callable[..., Any] = getattr(owner, name)

    def slowed(*arguments: Any) -> Any:
        time.sleep(seconds)
        return honest(*arguments)

    patch.setattr(owner, name, slowed)


def test_cold_files_are_told_from_warm_ones(digits_shards: Path) -> None:
    """By the bytes that the kernel had a disk read."""
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
    ("arguments", "code", "sentence"),
    [
        (("--runs", "0"), 2, "--runs must be at least 1, not 0"),
        (("--threads", "0"), 2, "--threads must be at least 1, not 0"),
        (("--batch-size", "none"), 2, "'none' is not a valid integer"),
        (("--shards", "nowhere"), 1, "nowhere holds no complete shards"),
        (("--doctor", "--tune"), 2, "--sweep, --doctor and --tune are done one at a time"),
        (("--sweep", "colour"), 2, "'colour' is not one of"),
    ],
)
def test_bench_loader_refuses(arguments: tuple[str, ...], code: int, sentence: str) -> None:
    result = invoked(*arguments)
    assert result.exit_code == code
    assert sentence in result.output
    assert result.output.count("Error:") == 1


@pytest.mark.parametrize(
    ("sweep", "rows"),
    [
        ("threads", ["threads 1", "threads 2", "threads 3"]),
        ("cache", ["cache none", "cache host"]),
    ],
)
def test_sweeps(sweep: str, rows: list[str], digits_shards: Path) -> None:
    lines, record = measured(digits_shards, "--sweep", sweep, "--threads", "3", "--runs", "2")
    assert list(record["median"])[: len(rows)] == rows
    assert record["finding"].startswith("Fastest is")
    assert all(any(row in line for line in lines) for row in rows)


def test_the_same_images_in_several_formats(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards")
    _, record = measured(shards, "--sweep", "format", "--runs", "1", "--batch-size", "8")
    assert set(record["median"]) == {"as it is", "JPEG q90", "PNG"}


def test_the_decoder_s_load_needs_a_gpu(digits_shards: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = invoked("--shards", str(digits_shards), "--sweep", "hw-decoder-load")
    assert result.exit_code == 2
    assert "needs a GPU" in result.output


def test_tuning_writes_a_profile_that_is_taken(
    digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_tune, "SEARCH_RUNS", 1)
    profile = tmp_path / "profile.json"
    _, record = measured(digits_shards, "--tune", "--profile-out", str(profile), "--runs", "2")
    found = json.loads(profile.read_text())
    assert found == record["profile"]
    assert found.keys() >= {"threads", "prefetch", "read_ahead"}
    assert {"threads", "prefetch", "read_ahead"} <= record["tried"][0].keys()
    assert len(record["gain"]) == 2
    taken = invoked("--profile-file", str(profile), "--shards", "nowhere")
    assert taken.exit_code == 1


def test_the_doctor(digits_shards: Path) -> None:
    lines, record = measured(digits_shards, "--doctor", "--shuffle", "off", "--threads", "99")
    facts = [finding["fact"] for finding in record["findings"]]
    assert "100% of 256 images are PNG" in facts
    for word in ("PNG", "--shuffle off", "99 threads", "files open", "/dev/shm", "page cache"):
        assert any(word in fact for fact in facts)
    for finding in record["findings"]:
        mark = " ! " if finding["advice"] else "ok "
        assert any(line.startswith(mark) and finding["fact"] in line for line in lines)
    assert "is the limit" in record["finding"]


def row(name: str, *values: float) -> Measurement:
    return Measurement(name=name, values=values)


def test_shares_of_time() -> None:
    rates = dict(zip(RUNGS, (1000, 500, 250, 260, 250), strict=True))
    shares = stage_shares(rates)
    # 1, 1 and 2 ms; the last two differ by chance.
    assert list(shares.values()) == pytest.approx(
        [each / (4 + 1 / 250 * 1000 - 1000 / 260) for each in (1, 1, 2, 0, 4 - 1000 / 260)]
    )


RATES = (900, 300, 280, 280, 280)


def test_the_limit_in_a_sentence() -> None:
    rows = {name: row(name, rate, rate) for name, rate in zip(RUNGS, RATES, strict=True)}
    shares = stage_shares({name: each.median for name, each in rows.items()})
    sentence = find_limit(rows, shares)
    assert sentence == (
        "Decoding is the limit: 280.0 images/s (280.0 to 280.0) in full, 62% of the time in that "
        "stage; reading alone gives 900.0 images/s."
    )
    cold = row(COLD[FULL], 70, 71)
    assert find_limit({**rows, cold.name: cold}, shares).endswith(
        "from cold files the disk is the limit: 70.50 images/s, 25%."
    )
    cold = row(COLD[FULL], 270, 290)
    assert find_limit({**rows, cold.name: cold}, shares).endswith("can't be told from warm ones.")


def test_the_fastest_in_a_sentence() -> None:
    rows = [row("a", 10, 11, 12), row("b", 20, 21, 22), row("c", 21, 20, 22)]
    assert find_fastest(rows) == (
        "Fastest is b: 21.00 images/s (20.00 to 22.00), 1.91 times a; c can't be told from it."
    )


def test_of_those_alike_the_lower_p99_is_chosen() -> None:
    rows = [row("slow", 50), row("fast", 100), row("steady", 99)]
    assert choose(rows, [0.1, 0.5, 0.2]) == 2
    assert choose(rows, [0.1, 0.2, 0.5]) == 1


@pytest.mark.parametrize(
    ("gains", "found", "sentence"),
    [
        ((1.1, 1.3, 1.2), 4, "--threads 4 gives 1.20 times (1.10 to 1.30) the rate"),
        ((0.9, 1.3, 1.2), 4, "No gain: --threads 4 gives 1.20 times (0.90 to 1.30) the rate"),
        ((0.9, 1.1, 1.0), 2, "Nothing that was tried is faster than the defaults"),
    ],
)
def test_a_gain_is_one_or_is_called_none(
    gains: tuple[float, ...], found: int, sentence: str
) -> None:
    said = say_gain(row("gain", *gains), {"threads": found}, {"threads": 2}, "p.json")
    assert said.startswith(sentence) and "p.json" in said


def test_formats_are_told_by_their_bytes() -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    headers = [
        read_header(cv2.imencode(form, pixels, options)[1].tobytes())
        for form, options in (
            (".jpg", []),
            (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
            (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
            (".png", []),
        )
    ]
    png, progressive, odd = format_findings(headers)
    assert png.fact.startswith("25%") and "--encode jpeg" in png.advice
    assert progressive.fact.startswith("50%") and progressive.advice
    assert odd.fact.startswith("0%") and not odd.advice
    assert str(odd) == f"{odd.fact}."
    unusual = Header(format="jpeg", height=8, width=8)
    assert format_findings([unusual, None])[2].fact.startswith("50%")


def test_health_of_shards_and_machine(tmp_path: Path) -> None:
    assert "--shortest-side 256" in size_finding(600, 224).advice
    assert "enlarged" in size_finding(100, 224).advice
    assert not size_finding(8, 32).advice and not size_finding(375, 224).advice
    assert "--shuffle global" in order_finding(60.0, 1.1, shuffle="off").advice
    assert not order_finding(1.2, 1.1, shuffle="global").advice
    assert threads_finding(16, cores=8, ranks=2).advice.endswith("--threads 4")
    assert "idle" in threads_finding(2, cores=8, ranks=1).advice
    assert not threads_finding(None, cores=2, ranks=4).advice
    assert "ulimit" in files_finding(64, 1000).advice and not files_finding(1024, 1000).advice
    assert "mount" in shared_memory_finding(tmp_path / "none", 1).advice


@pytest.mark.parametrize(("line", "use"), [("37\n", 0.37), ("[N/A]\n", None), ("", None)])
def test_use_of_a_gpu_s_decoders(line: str, use: float | None) -> None:
    assert parse_use(line) == use
