"""by_epoch() for other training loops: epochs, lengths, state, freed resources."""

import gc
import os
import subprocess
import sys
import threading
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batch import Batch
from pipeline.build import train_loader, val_loader
from pipeline.config import PipelineConfig
from pipeline.loader import Epochs, Loader
from pipeline.storage.dataset import Dataset
from pipeline.synthetic import synthetic_loader

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
GLOBAL_BATCH_SIZE = 50


def counting_loader(samples: int, global_batch_size: int, position: int = 0) -> Loader:
    """Batches whose only sample is their first position."""

    def batches(start: int):  # type: ignore[no-untyped-def]
        while True:
            yield Batch(torch.empty(0), torch.empty(0), np.array([start]))
            start += global_batch_size

    return Loader(
        batches,
        steps=lambda _: None,
        advance=global_batch_size,
        samples=samples,
        seed=0,
        fingerprint="",
        position=position,
    )


def starts(epochs: Epochs) -> list[int]:
    return [int(batch.samples[0]) for batch in epochs]


@given(st.integers(1, 200), st.integers(1, 60), st.integers(0, 500), st.integers(0, 5), st.data())
def test_a_batch_belongs_to_the_epoch_of_its_first_sample(
    samples: int, global_batch_size: int, position: int, epoch: int, data: st.DataObject
) -> None:
    epochs = counting_loader(samples, global_batch_size, position).by_epoch()
    grid = np.arange(position % global_batch_size, 20 * samples + 2000, global_batch_size)
    taken = data.draw(st.integers(0, 3))
    whole = grid[grid // samples == epochs.epoch]
    assert len(epochs) == len(whole)
    first = [int(batch.samples[0]) for batch in islice(epochs, taken)]
    rest = starts(epochs) if epochs.epoch == position // samples else []
    assert first + rest == whole[whole >= position].tolist()
    epochs.set_epoch(epoch)
    if epochs.epoch == epoch:  # else a batch is larger than the epoch and skips it
        assert starts(epochs) == grid[grid // samples == epoch].tolist()


def seeded_loader(shards: Path, **settings: int | None) -> Loader:
    return train_loader(
        Dataset(shards),
        PipelineConfig(threads=1, seed=2),
        global_batch_size=GLOBAL_BATCH_SIZE,
        device=CPU,
        **settings,  # type: ignore[arg-type]
    )


def test_epochs_concatenate_to_the_stream(digits_shards: Path) -> None:
    samples = Dataset(digits_shards).manifest.splits["train"].samples
    with seeded_loader(digits_shards, end_position=3 * samples) as loader:
        stream = [batch.samples for batch in loader]
    epochs = seeded_loader(digits_shards, end_position=3 * samples).by_epoch()
    parts = [[batch.samples for batch in epochs] for _ in range(3)]
    epochs.close()
    assert np.array_equal(
        np.concatenate(stream), np.concatenate([batch for part in parts for batch in part])
    )
    assert [len(part) for part in parts] == [33, 32, 33]
    epochs.set_epoch(1)
    again = [batch.samples for batch in epochs]
    epochs.close()
    assert np.array_equal(again, parts[1])


def test_epochs_have_the_loaders_state(digits_shards: Path) -> None:
    with seeded_loader(digits_shards) as loader:
        epochs = loader.by_epoch()
        list(islice(epochs, 40))
        state = epochs.state_dict()
        expected = next(iter(epochs)).samples
    other = seeded_loader(digits_shards).by_epoch()
    next(iter(other))
    other.load_state_dict(state)
    assert np.array_equal(next(iter(other)).samples, expected)
    other.close()


def test_len_counts_the_remaining_batches(digits_shards: Path) -> None:
    samples = Dataset(digits_shards).manifest.splits["train"].samples
    assert samples == 1617
    with seeded_loader(digits_shards, end_position=2 * samples) as loader:
        assert len(loader) == 65
        for taken, _ in enumerate(islice(loader, 5), 1):
            assert len(loader) == 65 - taken
    with pytest.raises(TypeError, match="endless"):
        len(seeded_loader(digits_shards))
    validation = val_loader(
        Dataset(digits_shards), PipelineConfig(threads=1), batch_size=50, device=CPU
    )
    assert len(validation) == 4
    synthetic = synthetic_loader(
        batch_size=6, world_size=2, image_size=40, classes=3, device=CPU, end_position=30
    )
    assert len(synthetic) == len(list(synthetic)) == 3


def open_resources() -> tuple[int, int, int]:
    gc.collect()
    # Of this process only: others use the folder, too.
    shared = Path("/proc/self/maps").read_text().count("/dev/shm/")
    return threading.active_count(), len(os.listdir("/proc/self/fd")), shared  # noqa: PTH208


def tasks() -> int:
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208


@pytest.mark.parametrize("cache", ["none", "host"])
def test_closed_loaders_leave_no_threads_files_or_shared_memory(
    digits_shards: Path, cache: str
) -> None:
    def cycle() -> None:
        config = PipelineConfig(threads=2, cache=cache)
        with train_loader(
            Dataset(digits_shards), config, global_batch_size=16, device=CPU
        ) as loader:
            list(islice(loader, 2))

    cycle()
    # What earlier tests left to be collected would close files meanwhile.
    gc.collect()
    before, threads = open_resources(), tasks()
    for _ in range(50):
        cycle()
    assert open_resources() == before
    assert tasks() <= threads


def test_public_names_are_imported_lazily() -> None:
    script = (
        "import sys, pipeline\n"
        "assert not {'torch', 'nvidia.dali', 'numpy', 'fsspec'} & set(sys.modules)\n"
        "from pipeline import Dataset, PipelineConfig\n"
        "assert not {'torch', 'nvidia.dali', 'fsspec'} & set(sys.modules)\n"
        "from pipeline import Batch, Loader, train_loader, val_loader\n"
        "assert set(pipeline.__all__) <= set(dir(pipeline))\n"
        "try:\n"
        "    pipeline.nonsense\n"
        "except AttributeError as error:\n"
        "    assert 'nonsense' in str(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
