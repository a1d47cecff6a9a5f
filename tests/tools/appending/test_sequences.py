"""Any sequence of appends, with any number of workers: prefix property, order and resume."""

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.config import PipelineConfig
from pipeline.plan.audit import audit
from pipeline.plan.plan import order_of
from pipeline.plan.ranks import step_positions
from pipeline.storage.dataset import Dataset
from tests.helpers.amounts import LONG, full_or_tenth
from tests.helpers.growing import CLASSES, assert_prefix, grow, inline_workers, origins
from tests.helpers.shard_runs import contents, made

# A step of 840 samples is divisible by 1 to 8 ranks.
STEP = 840
# By download, the numbers of images that each addition brings; some bring nothing.
additions = st.lists(st.sets(st.integers(0, 40), max_size=12), min_size=1, max_size=3)


@settings(max_examples=full_or_tenth(10))
@example(parts=[{0, 1, 2, 3, 4}, set(), {3, 7, 8, 20, 21, 22}], workers=[2, 1], seed=1)
@given(parts=additions, workers=st.permutations([1, 2]), seed=st.integers(0, 3))
def test_sequences_of_appends(parts: Sequence[set[int]], workers: Sequence[int], seed: int) -> None:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        words = ("--shard-size", "0.008", "--seed", str(seed), "--val", "0.3")
        with of_one():
            made(grow(folder / "src", range(100, 106), 3), folder / "0", *words, "--workers", "1")
        numbers = set(range(100, 106))
        for step, part in enumerate(parts):
            grow(folder / "src", part, 3)
            outs = [folder / f"{step + 1}", folder / "other"]
            for out, count in zip(outs, workers, strict=True):
                shutil.copytree(folder / str(step), out)
                run = made if part - numbers else nothing_to_add
                with of_one() if count == 1 else nullcontext():
                    run(folder / "src", out, "--append", "--workers", str(count))
            assert contents(outs[0]) == contents(outs[1])
            shutil.rmtree(outs[1])
            if part - numbers:
                assert_prefix(folder / str(step), outs[0])
            numbers |= part
            stored = [*origins(outs[0], "train"), *stored_val(outs[0])]
            assert sorted(stored) == sorted(
                (f"{CLASSES[n % 3]}/{n}.png", CLASSES[n % 3]) for n in numbers
            )
        check_order(folder / str(len(parts)), seed)


def of_one() -> AbstractContextManager[None]:
    """One worker process, whose start costs most, or none."""
    return nullcontext() if LONG else inline_workers()


def nothing_to_add(src: Path, out: Path, *words: str) -> None:
    before = contents(out)
    made(src, out, *words)
    assert contents(out) == before


def stored_val(shards: Path) -> list[tuple[str, str]]:
    return origins(shards, "val") if "val" in Dataset(shards).manifest.splits else []


def check_order(shards: Path, seed: int) -> None:
    """Each epoch has each sample once at 1 to 8 ranks, and a run that stops at any step goes on at
    another number of ranks with the samples that it would have got."""
    index = Dataset(shards).split("train")
    for shuffle in ("global", "window"):
        config = PipelineConfig(shards=str(shards), seed=seed, shuffle=shuffle)  # type: ignore[arg-type]
        order, count = order_of(index, config), len(index)
        whole = order(np.arange(6 * STEP))[1]
        for size in range(1, 9):
            sizes = {"global_batch_size": STEP, "world_size": size, "epochs": 2}
            assert audit(order, count, **sizes) == [0, 0]
            start = size // 3 * STEP
            resumed = [
                order(
                    step_positions(
                        0, start=start, global_batch_size=STEP, rank=rank, world_size=size
                    )
                )[1]
                for rank in range(size)
            ]
            assert np.array_equal(np.concatenate(resumed), whole[start : start + STEP])


@pytest.mark.long
def test_ray_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    made(grow(tmp_path / "src", range(12)), tmp_path / "out", "--workers", "1")
    grow(tmp_path / "src", range(12, 30))
    shutil.copytree(tmp_path / "out", tmp_path / "ray")
    words = ("--append", "--shard-size", "0.008")
    made(tmp_path / "src", tmp_path / "out", *words, "--workers", "1")
    made(tmp_path / "src", tmp_path / "ray", *words, "--engine", "ray")
    assert contents(tmp_path / "out") == contents(tmp_path / "ray")
