"""How long bench-loader measures: said first, bounded, and refused if it can't be."""

from pathlib import Path

import pytest

from benchmarks.loader import __main__ as loader
from benchmarks.loader.config import LoaderBenchmark
from benchmarks.loader.setup import open_setup
from benchmarks.loader.sweeps import by_batch
from benchmarks.loader.time_plan import duration, plan_rounds, require_time
from benchmarks.loader.timed_batches import LoaderSpeed
from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from tests.helpers.cli import invoke
from tests.helpers.handmade import write_shards


@pytest.mark.parametrize(
    ("seconds", "asked", "planned"),
    [
        (1.0, (6, 1), (6, 1)),
        (17.0, (6, 1), (6, 1)),
        # Six rounds fit, then two, then one.
        (18.0, (6, 1), (5, 1)),
        (60.0, (6, 1), (1, 1)),
        (61.0, (6, 1), (1, 0)),
        (120.0, (6, 0), (1, 0)),
        (30.0, (2, 5), (2, 1)),
        (0.01, (1, 0), (1, 0)),
    ],
)
def test_as_many_repetitions_as_fit_into_two_minutes(
    seconds: float, asked: tuple[int, int], planned: tuple[int, int]
) -> None:
    runs, warmup = asked
    assert plan_rounds(seconds, runs=runs, warmup=warmup, limit=120.0) == planned


def test_the_time_in_words() -> None:
    benchmark = LoaderBenchmark(max_seconds=90.0)
    assert duration(34.6, benchmark) == "about 35 s, at most 90 s (--max-seconds)"
    assert duration(500.0, benchmark, 0.5) == "about 45 s, at most 45 s (50% of --max-seconds)"
    assert duration(0.01, benchmark).startswith("about 1 s")
    require_time(benchmark, "7 rows", 90.0, 90.0)
    with pytest.raises(
        MisuseError, match=r"^One repetition of 7 rows takes about 91 s, more than "
    ):
        require_time(benchmark, "7 rows", 91.0, 90.0)


def test_a_lap_s_time_is_that_of_the_images_it_draws(tmp_path: Path) -> None:
    """On a CPU four steps of 2 are decoded together; two such groups and four steps are ahead."""
    shards = write_shards(tmp_path / "shards")
    speed = LoaderSpeed(first_batch_seconds=10.0, images_per_second=4.0)
    benchmark, config = (
        LoaderBenchmark(batch_size=2, seconds=0.5),
        PipelineConfig(shards=str(shards)),
    )
    with open_setup(benchmark, config) as setup:
        lap = setup.time_loader(config)
        batches = 1 + lap.prepared + lap.group
        assert lap.expected_seconds(speed) == pytest.approx(10.0 + batches * 2 / 4.0)
        fast = LoaderSpeed(first_batch_seconds=0.0, images_per_second=1e9)
        assert lap.expected_seconds(fast) == pytest.approx(0.5, abs=1e-3)
        assert list(by_batch(setup)) == ["batch 2", "batch 16"]


def test_the_default_batch_is_at_most_the_split(tmp_path: Path) -> None:
    config = PipelineConfig(shards=str(write_shards(tmp_path / "shards", samples=30)))
    with open_setup(LoaderBenchmark(), config) as setup:
        assert setup.benchmark.batch_size == 30


def test_a_batch_of_more_than_the_split_is_refused(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", samples=182)
    refused = invoke(loader.main, "--shards", shards, "--batch-size", 100_000)
    assert refused.exit_code == 2
    assert (
        "--batch-size 100000 is more than the 182 samples of split train: give at most 182."
        in refused.output
    )


def test_a_measurement_that_takes_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = write_shards(tmp_path / "shards")
    slow = LoaderSpeed(first_batch_seconds=1.0, images_per_second=0.1)
    monkeypatch.setattr("benchmarks.loader.time_plan.try_loader", lambda setup: slow)
    refused = invoke(loader.main, "--shards", shards, "--batch-size", 8, "--max-seconds", 60)
    assert refused.exit_code == 2
    assert "more than 60 s: lower --batch-size 8, --prefetch or --read-ahead" in refused.output
