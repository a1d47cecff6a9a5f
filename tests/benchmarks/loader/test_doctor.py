"""The findings of bench-loader, and its health checks of shards and machine."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks.loader.by_stage import describe_limit, stage_shares
from benchmarks.loader.config import COLD, FULL, STAGES
from benchmarks.loader.gpu_decoder_utilization import parse_utilization
from benchmarks.loader.health_checks import (
    check_dali,
    check_formats,
    check_order,
    check_size,
    check_threads,
)
from benchmarks.loader.sweeps import describe_fastest
from benchmarks.loader.tuning import choose, describe_gain
from benchmarks.measuring.alternate import Measurement
from pipeline.versions import installed_version
from tools.images.headers import read_header


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
    sentence = describe_limit(rows, shares)
    assert sentence == (
        "Decoding is the limit: the full loader gives 280.0 images/s (280.0 to 280.0), with 62% of "
        "the time in that stage; reading alone gives 900.0 images/s."
    )
    cold = row(COLD[FULL], 70, 71)
    assert describe_limit({**rows, cold.name: cold}, shares).endswith(
        "from cold files the disk is the limit: 70.50 images/s, 25% of the rate of warm files."
    )
    cold = row(COLD[FULL], 270, 290)
    assert describe_limit({**rows, cold.name: cold}, shares).endswith(
        "; cold files (280.0 images/s) are not measurably slower."
    )


def test_the_fastest_in_a_sentence() -> None:
    rows = [row("a", 10, 11, 12), row("b", 20, 21, 22), row("c", 21, 20, 22)]
    assert describe_fastest(rows) == (
        "Fastest is b: 21.00 images/s (20.00 to 22.00), 1.91 times a; not measurably slower: c."
    )


def test_the_lower_p99_decides_between_similar_rates() -> None:
    rows = [row("slow", 50), row("fast", 100), row("steady", 99)]
    assert choose(rows, [0.1, 0.5, 0.2]) == 2
    assert choose(rows, [0.1, 0.2, 0.5]) == 1


@pytest.mark.parametrize(
    ("gains", "threads", "sentence"),
    [
        ((1.1, 1.3, 1.2), 4, "--threads 4 gives 1.20 times (1.10 to 1.30) the rate"),
        ((0.9, 1.3, 1.2), 4, "No gain: --threads 4 gives 1.20 times (0.90 to 1.30) the rate"),
        ((0.9, 1.1, 1.0), 2, "No tried setting is faster than the defaults"),
    ],
)
def test_a_gain_is_reported_only_if_its_interval_shows_one(
    gains: tuple[float, ...], threads: int, sentence: str
) -> None:
    finding = describe_gain(row("gain", *gains), {"threads": threads}, {"threads": 2}, "p.json")
    assert finding.startswith(sentence) and "p.json" in finding


def test_formats_are_detected_from_headers() -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    images = [
        cv2.imencode(form, pixels, options)[1].tobytes()
        for form, options in (
            (".jpg", []),
            (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
            (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
            (".png", []),
        )
    ]
    png, progressive, odd = check_formats(images)
    assert png.fact.startswith("25%") and "--encode jpeg" in png.advice
    assert progressive.fact.startswith("50%") and progressive.advice
    assert odd.fact.startswith("0%") and not odd.advice
    assert str(odd) == f"{odd.fact}."
    cmyk = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(cmyk, "JPEG")
    assert check_formats([cmyk.getvalue(), b"damaged"])[2].fact.startswith("50%")


def test_unusual_jpegs_are_those_that_the_tools_call_not_plain() -> None:
    """As tools/shard reads their headers."""
    pixels = np.random.default_rng(0).integers(256, size=(32, 32, 3), dtype=np.uint8)
    images = [
        cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor])[1].tobytes()
        for factor in (0x111111, 0x211111, 0x221111, 0x411111)
    ]
    images.append(cv2.imencode(".jpg", pixels[..., 0])[1].tobytes())
    rgb = io.BytesIO()
    Image.fromarray(pixels).save(rgb, "JPEG", keep_rgb=True)
    images.append(rgb.getvalue())
    for data in images:
        header = read_header(data)
        assert header is not None
        assert bool(check_formats([data])[2].advice) == (not header.plain)


def test_checks_of_shards_and_machine() -> None:
    assert "--shortest-side 256" in check_size(600, 224).advice
    assert "enlarged" in check_size(100, 224).advice
    assert not check_size(8, 32).advice and not check_size(375, 224).advice
    assert "--shuffle global" in check_order(60.0, 1.1, shuffle="off").advice
    assert not check_order(1.2, 1.1, shuffle="global").advice
    assert check_threads(16, cores=8, ranks=2).advice.endswith("--threads 4")
    assert "idle" in check_threads(2, cores=8, ranks=1).advice
    assert not check_threads(None, cores=2, ranks=4).advice


@pytest.mark.parametrize(("line", "share"), [("37\n", 0.37), ("[N/A]\n", None), ("", None)])
def test_utilization_of_gpu_decoders(line: str, share: float | None) -> None:
    assert parse_utilization(line) == share


def test_two_builds_of_dali_are_a_fault() -> None:
    builds = ["nvidia-dali-cuda120", "nvidia-dali-cuda130"]
    assert installed_version("numpy") == np.__version__
    assert installed_version("no-such-package") is None
    assert not check_dali(builds[:1]).advice and builds[0] in str(check_dali(builds[:1]))
    both = check_dali(builds)
    assert all(name in both.fact for name in builds) and "remove both" in both.advice
