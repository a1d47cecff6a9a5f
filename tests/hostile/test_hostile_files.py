"""Mutated manifests and tables, whose hashes are right, as a stranger would make them."""

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import fsspec
import numpy as np
import pytest

from pipeline.build import train_loader
from pipeline.config import PipelineConfig
from pipeline.storage.dataset import Dataset
from tests.helpers.amounts import all_or_tenth
from tests.helpers.checking import TASKS
from tests.helpers.handmade import restated, sealed, write_shards
from tests.helpers.loaders import CPU
from tests.hostile.mutations import mutate
from tools.config import ShardConfig
from tools.like import open_like
from tools.showing.dataset_summary import DatasetSummary
from tools.showing.show import describe
from trainer.data import open_data, task_of


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(task: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write_shards(folder / "shards", task, **TASKS[task])  # type: ignore[arg-type]
    (folder / "victim").write_bytes(b"mine")
    return folder


@pytest.fixture(autouse=True)
def nothing_else_is_written(folder: Path) -> Iterator[None]:
    before = snapshot(folder)
    yield
    assert snapshot(folder) == before


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    paths = [path for path in folder.rglob("*") if "mutated" not in path.parts]
    stats = {str(path): path.lstat() for path in paths if not path.is_dir()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


@pytest.fixture
def mutated(folder: Path) -> Iterator[Path]:
    """A copy of the shards."""
    out = folder / "mutated"
    shutil.copytree(folder / "shards", out / "shards")
    yield out / "shards"
    shutil.rmtree(out)


def use(shards: str | Path, cache: Path) -> str:
    """What tools, loader and trainer do with shards: the sentence that it ends with, or ""."""
    settings = PipelineConfig(
        shards=str(shards), cache_dir=str(cache), threads=1, seed=1, max_bad=1.0, image_size=32
    )
    try:
        if isinstance(shards, Path):
            summary = DatasetSummary.from_dataset(Dataset(shards))
            assert list(describe(summary, all_classes=True))
            if (found := open_like(ShardConfig(src="x", out="y", like=str(shards)))) is not None:
                given = found.settings(ShardConfig(src="x", out="y", like=str(shards)))
                found.encoding(given.encoding)
        data = open_data(settings, synthetic=False)
        assert data.dataset is not None
        task_of(data, label_smoothing=0.1)
        loader = train_loader(
            data.dataset, settings, global_batch_size=8, device=CPU, end_position=8
        )
        with loader:
            for batch in loader:
                assert batch.images.isfinite().all()
    except click.ClickException as error:
        return error.format_message()
    return ""


def test_the_unchanged_shards_are_used(folder: Path, mutated: Path) -> None:
    assert use(mutated, folder / "mutated") == ""


@pytest.mark.parametrize("seed", all_or_tenth(range(60)))
def test_manifests(seed: int, task: str, folder: Path, mutated: Path) -> None:
    path = mutated / "dataset.json"
    fields = mutate(json.loads(path.read_text()), 1000 * len(task) + seed, str(folder / "victim"))
    path.write_bytes(sealed_text(fields))
    use(mutated, folder / "mutated")
    filesystem = fsspec.filesystem("memory")
    for file in mutated.iterdir():
        filesystem.pipe_file(f"/hostile/{file.name}", file.read_bytes())
    use("memory://hostile", folder / "mutated" / "cache")
    filesystem.rm("/hostile", recursive=True)


def sealed_text(fields: object) -> bytes:
    """With the right SHA-256, unless UTF-8 can't encode the text or the field is gone."""
    with suppress(UnicodeEncodeError):
        if isinstance(fields, dict):
            return sealed(fields)
    return json.dumps(fields).encode()


@pytest.mark.parametrize("seed", all_or_tenth(range(40)))
def test_tables(seed: int, task: str, folder: Path, mutated: Path) -> None:
    draw = random.Random(1000 * len(task) + seed)
    path = draw.choice(sorted(mutated.glob("*.npy")))
    if draw.random() < 0.3:
        data = bytearray(path.read_bytes())
        place = draw.randrange(128 if draw.random() < 0.5 else len(data))
        data[place] = draw.randrange(256)
        path.write_bytes(data[: draw.choice((len(data), place))])
    else:
        table = np.load(path)
        column = (
            table.view() if table.dtype.names is None else table[draw.choice(table.dtype.names)]
        )
        row = draw.randrange(len(table))
        if column.dtype.kind == "f":
            extremes = [np.nan, np.inf, -np.inf, 3e38, -1, 0, 1, 0.5]
        else:
            limits = np.iinfo(column.dtype)
            extremes = [limits.min, limits.max, limits.max - 1, limits.max // 2, 0, 1, 2, 50, 512]
        column[row] = draw.choice([*extremes, column[draw.randrange(len(table))]])
        np.save(path, table)
    use(restated(mutated), folder / "mutated")
