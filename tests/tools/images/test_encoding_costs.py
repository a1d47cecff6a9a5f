"""Measured costs of ways to store images, and the choice of `auto`."""

import pickle

import cv2
import numpy as np
import pytest
from rich.console import Console

from pipeline.table import print_table
from tools.images.codec import Pixels, encode_pixels
from tools.images.encoding import Encoding
from tools.images.encoding_costs import MAX_PIXELS, Cost, Costs, choose, costs_table, measure_costs


def photograph(side: int = 128, seed: int = 0) -> Pixels:
    """Smooth shapes with a little noise, which PNG hardly compresses."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 6, 3), np.uint8)
    smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    return np.clip(smooth + rng.integers(-2, 3, smooth.shape), 0, 255).astype(np.uint8)


def lettering(side: int = 128) -> Pixels:
    """Sharp colored letters on white: PNG is small, JPEG rings."""
    page = np.full((side, side, 3), 255, np.uint8)
    for row, color in enumerate(((255, 0, 0), (0, 0, 255), (0, 160, 0), (0, 0, 0))):
        cv2.putText(page, "Kaggle &%", (2, 28 + 28 * row), 0, 0.7, color, 2, cv2.LINE_8)
    return page


def files(suffix: str, *pictures: Pixels) -> list[bytes]:
    return [cv2.imencode(suffix, picture)[1].tobytes() for picture in pictures]


def test_costs_match_the_stored_bytes() -> None:
    pictures = [photograph(seed=seed) for seed in range(3)]
    costs = measure_costs(files(".png", *pictures), Encoding())
    names = ["as it is", "JPEG q90", "JPEG q95", "JPEG q92, 256 px high or wide"]
    assert [cost.choice for cost in costs.choices] == names
    for cost, quality in zip(costs.choices[1:3], (90, 95), strict=True):
        encoding = Encoding(mode="jpeg", quality=quality)
        encoded = [encode_pixels(picture, encoding).data for picture in pictures]
        assert cost.mean_bytes == sum(map(len, encoded)) / 3
        decoded = [cv2.imdecode(np.frombuffer(data, np.uint8), 1) for data in encoded]
        pairs = zip(pictures, decoded, strict=True)
        assert cost.psnr_decibel == pytest.approx(np.mean([cv2.PSNR(*pair) for pair in pairs]))
    kept = costs.choices[0]
    assert kept.psnr_decibel is None and kept.images == 3 and kept.images_per_second > 0
    assert kept.mean_bytes == np.mean([len(data) for data in files(".png", *pictures)])
    assert pickle.loads(pickle.dumps(costs)) == costs


def test_no_row_for_a_smaller_size_if_a_size_is_given() -> None:
    costs = measure_costs(files(".png", photograph()), Encoding(shortest_side=100))
    assert len(costs.choices) == 3
    assert costs.as_jpeg is not None and costs.as_png is not None


def test_at_most_max_pixels_are_measured() -> None:
    large = photograph(1000)
    costs = measure_costs([large] * 20, Encoding())
    assert costs.choices[0].images == MAX_PIXELS // 10**6


def test_unsound_images_are_left_out() -> None:
    (sound,) = files(".png", photograph())
    costs = measure_costs([b"<html>", sound[:500], sound], Encoding())
    assert {cost.images for cost in costs.choices} == {1}
    nothing = measure_costs([b"<html>"], Encoding())
    assert nothing.choices == () and choose(nothing, Encoding()) == (Encoding(), "")


@pytest.mark.parametrize(
    ("images", "photographs", "words"),
    [
        (files(".png", photograph()), "jpg", "PNG images become JPEG q92: "),
        (files(".bmp", photograph()), "jpg", "BMP images become JPEG q92: "),
        ([photograph()], "jpg", "Images become JPEG q92: "),
        (files(".png", lettering()), "png", "PNG images are stored as PNG: JPEG q92 would "),
        (files(".png", photograph(32)), "jpg", "Images of less than 64 px are stored as PNG"),
        (files(".jpg", photograph()), "jpg", "Baseline JPEGs are stored as they are"),
    ],
)
def test_auto_decides_by_content(images: list[bytes], photographs: str, words: str) -> None:
    encoding, why = choose(measure_costs(images, Encoding()), Encoding())
    assert encoding == Encoding(photographs=photographs)
    assert why.startswith(words) and why.endswith(".") and why.count(".") >= 1


def test_one_sentence_for_a_mixed_download() -> None:
    progressive = cv2.imencode(".jpg", photograph(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))[1].tobytes()
    images = [
        *files(".png", photograph(), photograph(40)),
        *files(".jpg", photograph()),
        progressive,
    ]
    _, why = choose(measure_costs(images, Encoding()), Encoding())
    assert "PNG images become JPEG" in why and "1 of 2 measured JPEGs" in why and "64 px" in why


def test_other_modes_are_kept_without_a_reason() -> None:
    encoding = Encoding(mode="keep")
    assert choose(measure_costs([photograph()], encoding), encoding) == (encoding, "")


def cost(mean_bytes: float, psnr: float | None, rate: float) -> Cost:
    return Cost(
        choice="JPEG q92",
        images=9,
        mean_bytes=mean_bytes,
        psnr_decibel=psnr,
        images_per_second=rate,
    )


@pytest.mark.parametrize(
    ("jpeg_bytes", "psnr", "photographs"),
    [
        (200, 41.0, "jpg"),
        (500, 36.0, "jpg"),
        (500, 34.0, "png"),
        (200, 33.0, "jpg"),
        (200, 29.0, "png"),
        (1200, 45.0, "png"),
    ],
)
def test_decoding_time_never_decides(jpeg_bytes: float, psnr: float, photographs: str) -> None:
    for rate in (1, 10_000):
        costs = Costs(
            choices=(),
            as_png=cost(1000, None, 100),
            as_jpeg=cost(jpeg_bytes, psnr, rate),
            formats=("png",),
            kept_jpegs=0,
            other_jpegs=0,
            small=0,
        )
        assert choose(costs, Encoding())[0].photographs == photographs


def test_the_table_has_a_row_for_each_choice() -> None:
    console = Console(width=100)
    with console.capture() as capture:
        print_table(costs_table(measure_costs(files(".png", photograph()), Encoding())), console)
    text = capture.get()
    assert all(name in text for name in ("as it is", "JPEG q90", "JPEG q95", "lossless", " dB"))
