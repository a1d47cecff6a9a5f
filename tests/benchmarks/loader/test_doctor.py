"""What bench-loader says of its figures, and the doctor of shards and machine."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.loader.by_stage import find_limit, stage_shares
from benchmarks.loader.config import COLD, FULL, STAGES
from benchmarks.loader.gpu_decoder_utilization import parse_use
from benchmarks.loader.health_checks import (
    files_finding,
    format_findings,
    order_finding,
    shared_memory_finding,
    size_finding,
    threads_finding,
)
from benchmarks.loader.sweeps import find_fastest
from benchmarks.loader.tuning import choose, say_gain
from benchmarks.measuring.alternate import Measurement
from tools.images.headers import Header, read_header


def row(name: str, *values: float) -> Measurement:
    return Measurement(name=name, values=values)


def test_shares_of_time() -> None:
    rates = dict(zip(STAGES, (1000, 500, 250, 260, 250), strict=True))
    shares = stage_shares(rates)
    # 1, 1 and 2 ms; the last two differ by chance.
    assert list(shares.values()) == pytest.approx(
        [each / (4 + 1 / 250 * 1000 - 1000 / 260) for each in (1, 1, 2, 0, 4 - 1000 / 260)]
    )


RATES = (900, 300, 280, 280, 280)


def test_the_limit_in_a_sentence() -> None:
    rows = {name: row(name, rate, rate) for name, rate in zip(STAGES, RATES, strict=True)}
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
