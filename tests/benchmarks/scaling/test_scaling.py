"""bench-scaling attributes known delays to the right parts; no test asserts a time."""

import json
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks.measuring.result_file import read_bundle
from benchmarks.scaling import __main__ as scaling
from benchmarks.scaling import inputs as scaling_inputs
from benchmarks.scaling import whole_trainings as scaling_trainings
from benchmarks.scaling.config import LadderConfig
from benchmarks.scaling.cpu_affinity import cpu_share, gpu_share, parse_cores
from benchmarks.scaling.in_memory import InMemoryFetcher
from benchmarks.scaling.plan import default_batch_size, default_global_batch_size, default_ranks
from benchmarks.scaling.record import (
    COLD,
    LOADER,
    LOCKSTEP,
    NO_ALL_REDUCE,
    RUNGS,
    SYNTHETIC,
    WARM,
    Point,
    read_points,
)
from pipeline.feed.fetch import Fetched
from pipeline.storage.reader import ShardReader
from tests.helpers import delayed_ranks
from tests.helpers.cli import invoke
from tests.helpers.known_sleeps import are_right, measured_point, slow_loader, slow_model
from tests.helpers.processes import exit_codes, free_port
from trainer.__main__ import main as train
from trainer.distributed.process_group import open_world


def one_rank(
    shards: Path, folder: Path, *rungs: str, right: Callable[[Point], bool] = lambda point: True
) -> Point:
    with open_world("cpu") as world:
        # On a busy machine a second thread would wait.
        torch.set_num_threads(1)
        rungs = (SYNTHETIC, WARM, LOADER, *rungs)
        return measured_point(shards, folder, world, rungs=rungs, right=right)


@pytest.mark.long
def test_a_slow_loader_is_input_bound(
    digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_model(monkeypatch, 0.15)
    slow_loader(monkeypatch, lambda samples: 0.5)
    shares = {"input": (0.5 - 0.15) / 0.5, "compute": 0.15 / 0.5}
    point = one_rank(digits_shards, tmp_path, right=lambda point: are_right(point, shares))
    assert point.limit == "input"
    assert are_right(point, shares), point.shares
    assert "weak, 1 rank: input-bound: the loader gives" in point.sentence
    assert "the baseline is not input-bound" in {c.name for c in point.checks if not c.holds}


def test_a_slow_model_is_compute_bound(
    digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_model(monkeypatch, 0.2)
    slow_loader(monkeypatch, lambda samples: 0.05)
    point = one_rank(digits_shards, tmp_path, right=lambda point: point.shares.compute > 0.9)
    assert point.limit == "compute"
    assert point.shares.compute > 0.9
    assert point.shares.input == 0
    assert point.images_per_second(LOADER) > 2 * point.images_per_second(SYNTHETIC)


@pytest.mark.long
def test_cold_files_are_slower_than_warm_ones(
    digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system that takes 0.5 s for a batch that is not in the page cache."""
    read: set[int] = set()
    drop, read_bytes = scaling_inputs.drop, ShardReader.read

    def drop_read(paths: list[Path]) -> None:
        drop(paths)
        read.clear()

    def remember(self: ShardReader, samples: Any, *others: Any) -> Any:
        read.update(samples.tolist())
        return read_bytes(self, samples, *others)

    monkeypatch.setattr(scaling_inputs, "drop", drop_read)
    monkeypatch.setattr(ShardReader, "read", remember)
    slow_model(monkeypatch, 0.05)
    slow_loader(monkeypatch, lambda samples: 0 if read.issuperset(samples.tolist()) else 0.5)
    expected = pytest.approx(0.9, abs=0.03)

    def is_right(point: Point) -> bool:
        return point.cold_shares is None or point.cold_shares.storage == expected

    point = one_rank(digits_shards, tmp_path, COLD, right=is_right)
    if point.cold_shares is None:
        pytest.skip("files stay in the page cache here (tmpfs)")
    assert point.cold_shares.storage == expected
    assert point.shares.storage == 0 and point.limit != "storage"
    assert "; cold files give" in point.sentence


@pytest.mark.long
def test_two_ranks_wait_for_all_reduce_or_each_other(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    result, port = tmp_path / "points.json", free_port()
    ranks = [
        loaded.Process(target=delayed_ranks.measure, args=(rank, port, digits_shards, result))
        for rank in range(2)
    ]
    for rank in ranks:
        rank.start()
    assert exit_codes(ranks) == [0, 0]
    exchange, rank = (json.loads(result.read_text())[name] for name in ("exchange", "rank"))
    assert exchange["limit"] == "communication"
    assert "communication-bound" in exchange["sentence"]
    for point, shares in ((exchange, delayed_ranks.EXCHANGE), (rank, delayed_ranks.RANK)):
        assert {name: point["shares"][name] for name in shares} == pytest.approx(shares, abs=0.03)


@pytest.mark.long
def test_one_and_two_ranks(digits_shards: Path, tmp_path: Path) -> None:
    output = tmp_path / "scaling.json"
    tiny = ("--model", "squeezenet1_1", "--batch-size", "4", "--seconds", "0.001", "--runs", "1")
    tiny += ("--warmup", "0")
    arguments = ("--shards", str(digits_shards), "--device", "cpu", "--ranks", "1,2", *tiny)
    result = invoke(scaling.main, *arguments, "--output", str(output))
    assert result.exit_code == 0, result.output
    bundle = read_bundle(output)
    *lines, last = result.output.splitlines()
    assert json.loads(last) == bundle and lines[-1] == bundle["finding"]
    points = read_points(bundle)
    assert [(point.mode, point.world_size, point.batch_size) for point in points] == [
        ("weak", 1, 4),
        ("weak", 2, 4),
        ("strong", 1, 4),
        ("strong", 2, 2),
    ]
    for point in points:
        alone = {NO_ALL_REDUCE, LOCKSTEP} if point.world_size == 1 else set()
        assert set(point.rungs) | {COLD} == set(RUNGS) - alone
        assert point.shares.total == pytest.approx(1)
        assert point.losses.total == pytest.approx(1 - point.efficiency)
        assert all(len(rung.step_seconds) == 1 for rung in point.rungs.values())
        assert bundle["median"][point.name] == pytest.approx(point.images_per_second())
        assert point.sentence in lines
    assert all(len(cores) == 1 for cores in points[1].rank_cores)
    assert bundle["settings"]["ranks"] == [1, 2]
    assert any(line.split(":")[0].strip() == NO_ALL_REDUCE for line in lines)


@pytest.mark.parametrize("masks", [False, True])
def test_images_stay_in_memory_with_their_masks(masks: bool) -> None:
    class Once:
        """Sample 2 is bad."""

        def fetch(self, samples: Any) -> Fetched:
            assert not fetched.intersection(samples.tolist())
            fetched.update(samples.tolist())
            views = [np.full(1, sample, np.uint8) for sample in samples]
            bad = dict.fromkeys(np.flatnonzero(samples == 2).tolist(), "why")
            return Fetched(views, bad, masks=[view + 100 for view in views] if masks else [])

        def close(self) -> None: ...

    fetched: set[int] = set()
    fetcher: Any = Once()
    cached = InMemoryFetcher(fetcher, {}, masks=masks)
    for samples in ([0, 1], [1, 2, 0]):
        batch = cached.fetch(np.array(samples))
        fetched.discard(2)
        for index, sample in enumerate(samples):
            if sample == 2:
                assert batch.bad == {index: "why"}
            else:
                assert batch.images[index] == sample
                assert not masks or batch.masks[index] == sample + 100
        assert len(batch.masks) == masks * len(samples)


def in_this_process(config: Any, ranks: int, *arguments: str, **options: Any) -> None:
    assert arguments[:2] == ("-m", "trainer")
    result = CliRunner().invoke(train, arguments[2:])
    assert result.exit_code == 0, result.output


@pytest.mark.long
def test_trainings_to_the_end(
    digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling_trainings, "torchrun", in_this_process)
    result = invoke(
        scaling.main,
        *("--to-end", "--shards", str(digits_shards), "--device", "cpu", "--ranks", "1,2"),
        *("--model", "squeezenet1_1", "--global-batch-size", "64", "--epochs", "0.05"),
        *("--out", str(tmp_path / "runs")),
    )
    assert result.exit_code == 0, result.output
    record = json.loads(result.output.splitlines()[-1])
    one, two = record["trainings"]
    assert (one["world_size"], two["world_size"]) == (1, 2)
    assert one["global_batch_size"] == two["global_batch_size"] == 64
    # The same run: in this process both have one rank.
    assert one["final"] == two["final"] and one["epochs"] == pytest.approx(0.05, abs=0.05)
    assert "strong, 1 rank: 0.0" in record["finding"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--ranks", "1,two"), 2, "'1,two' is not a list of numbers such as 1,2,4"),
        (("--ranks", "0,1"), 2, "A world size must be at least 1, not 0"),
        (("--shards", "nowhere"), 1, "nowhere holds no complete shards"),
        (("--synthetic",), 2, "leave out --synthetic"),
        (("--model", "resnet51"), 2, "--model resnet51: no such classification model"),
        (("--nnodes", "2"), 2, "--nnodes needs --rdzv-endpoint HOST:PORT"),
        (("--ranks", "3", "--nnodes", "2", "--rdzv-endpoint", "a:1"), 2, "--ranks 3 can't be"),
        (
            ("--ranks", "1,3", "--global-batch-size", "4"),
            2,
            "--global-batch-size 4 can't be divided by 3",
        ),
    ],
)
def test_bench_scaling_rejects(
    digits_shards: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    shards = () if "--synthetic" in arguments else ("--shards", digits_shards)
    result = invoke(scaling.main, "--device", "cpu", *shards, *arguments)
    assert result.exit_code == code
    assert sentence in result.output


def test_ranks_have_cores_of_their_own() -> None:
    assert [cpu_share(range(4), rank, 2) for rank in range(3)] == [[0, 1], [2, 3], [0, 1]]
    assert cpu_share([5], 1, 2) == [5]
    near = [parse_cores("0-3"), parse_cores("4,5,6-7\n"), parse_cores("0-3")]
    assert [gpu_share(near, gpu) for gpu in range(3)] == [[0, 1], [4, 5, 6, 7], [2, 3]]


def test_default_sizes() -> None:
    config = LadderConfig()
    assert default_ranks(8, 128, config) == (1, 2, 4, 8)
    assert default_ranks(0, 2, config) == (1, 2)
    assert default_ranks(6, 64, config) == (1, 2, 4, 6)
    assert default_ranks(0, 64, LadderConfig(cores_per_rank=16)) == (1, 2, 4)
    assert [default_batch_size(0, px) for px in (32, 64, 112, 224, 512)] == [32, 16, 8, 2, 2]
    assert default_batch_size(8, 32) == 128
    assert default_global_batch_size((1, 2), 32) == 32
    assert default_global_batch_size((2, 4, 6), 2) == 12
    assert default_global_batch_size((1, 8), 2) == 8
