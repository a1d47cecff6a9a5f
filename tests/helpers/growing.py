"""Downloads of class folders that grow, and what the shards of appends say about them."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow.parquet as parquet
import pytest

from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import sources_name
from tests.helpers.cli import invoke
from tests.helpers.shard_runs import contents, shard
from tests.helpers.small_downloads import picture
from tools import sharding
from tools.checking import check as checking
from tools.checking.cli import main as check
from tools.cli import main
from tools.writing.output_folder import Store

CLASSES = ("cat", "dog", "emu")


def grow(src: Path, numbers: Iterable[int], classes: int = 2) -> Path:
    """Image n in the folder of its class, n modulo `classes`; each has its own pixels."""
    for number in numbers:
        path = src / CLASSES[number % classes] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(path.name, number))
    return src


def origins(shards: Path, split: str) -> list[tuple[str, str]]:
    """Source and class of each sample of a split, in the order of the index."""
    dataset = Dataset(shards)
    table = parquet.read_table(dataset.file(sources_name(split)))
    labels = dataset.split(split).samples["label"].tolist()
    names = [dataset.manifest.classes[label] for label in labels]
    return list(zip(table.column("source").to_pylist(), names, strict=True))


def shard_bytes(shards: Path) -> dict[str, bytes]:
    """The bytes of each tar and of its index."""
    return {path.name: path.read_bytes() for path in shards.iterdir() if path.suffix in TAR}


TAR = (".tar", ".idx")


def assert_prefix(before: Path, after: Path) -> None:
    """Every byte of the shards, every row and every class that stood is as it was."""
    old, new = Dataset(before), Dataset(after)
    now = shard_bytes(after)
    assert all(now[name] == data for name, data in shard_bytes(before).items())
    assert new.manifest.classes[: len(old.manifest.classes)] == old.manifest.classes
    assert new.manifest.history[: len(old.manifest.history)] == old.manifest.history
    assert new.manifest.history[-1].after == old.fingerprint
    assert (new.manifest.mean, new.manifest.std) == (old.manifest.mean, old.manifest.std)
    for split, facts in old.manifest.splits.items():
        count = facts.samples
        assert new.manifest.splits[split].shards[: len(facts.shards)] == facts.shards
        rows = new.split(split).samples
        assert np.array_equal(rows[:count], old.split(split).samples)
        assert np.all(np.diff(rows["key"].astype(int)) > 0)
        assert origins(after, split)[:count] == origins(before, split)


def append(folder: Path, *words: str) -> str:
    """The output of an append that must succeed."""
    result = shard(folder / "src", folder / "out", "--append", "--workers", "1", *words)
    assert result.exit_code == 0, result.output
    return result.output


def refused(folder: Path, *words: str, code: int = 2) -> str:
    """The output of an append that must fail and change nothing."""
    before = contents(folder / "out")
    result = shard(folder / "src", folder / "out", "--append", "--workers", "1", *words)
    assert result.exit_code == code, result.output
    assert contents(folder / "out") == before
    return result.output


def intact(shards: Path) -> bool:
    return invoke(check, shards, "--decode").exit_code == 0


class InlineWorkers:
    """In place of worker processes, whose start takes most of the time of a small run."""

    count = 1

    def __init__(self, *arguments: object, **named: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def ordered(
        self, work: Callable[[Any], Any], tasks: Iterable[Any], *, rescue: object
    ) -> Iterator[Any]:
        return map(work, tasks)

    def alone(self, work: Callable[[Any], Any], task: object) -> object:
        return work(task)


@contextmanager
def inline_workers() -> Iterator[None]:
    """Runs of tools/shard and tools/check start no worker processes."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (sharding, checking):
            patch.setattr(module, "Workers", InlineWorkers)
        yield


def run_until_killed(kill_at: int, words: list[str]) -> None:
    """Run tools/shard with `words`, and kill this process before its change number `kill_at`, from
    0, of a file in the output."""
    changes = 0
    for name in ("put", "remove"):
        whole = getattr(Store, name)

        def counted(*arguments: object, whole: object = whole) -> object:
            nonlocal changes
            if changes == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            changes += 1
            return whole(*arguments)  # type: ignore[operator]

        setattr(Store, name, counted)
    main(words)


if __name__ == "__main__":
    run_until_killed(int(sys.argv[1]), sys.argv[2:])
