"""A loader ends DALI's threads at once, without waiting for Python's garbage collector."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.damage import damage
from tests.helpers.loaders import build_loader


@pytest.fixture
def uncollected(digits_shards: Path) -> Iterator[None]:
    # The threads that resize belong to no pipeline, and stay.
    with build_loader(digits_shards, epochs=1) as loader:
        next(iter(loader))
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def executors() -> int:
    """Threads of this process that are, or were started by, DALI's executors."""
    names = (path.read_text() for path in Path("/proc/self/task").glob("*/comm"))
    return sum(name.startswith("[DALI] Executor") for name in names)


@pytest.mark.usefixtures("uncollected")
def test_a_closed_loader_has_no_threads_of_dali(digits_shards: Path) -> None:
    before = executors()
    with build_loader(digits_shards, epochs=1) as loader:
        batches = iter(loader)
        next(batches)
        assert executors() > before
        del batches
    assert executors() == before


@pytest.mark.usefixtures("uncollected")
def test_a_pipeline_that_failed_has_no_threads(copied_shards: Path) -> None:
    before = executors()
    damage(copied_shards, "train", [3, 700], how="zeros")
    with build_loader(copied_shards, epochs=1, verify="none") as loader:
        assert len(list(loader)) and len(loader.bad_samples()) == 2
    assert executors() == before
