"""Shards at a URL give the batches of the folder; errors name the file."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from pipeline.build import train_loader
from pipeline.config import PipelineConfig, open_dataset
from pipeline.errors import DataError
from pipeline.loader import Loader
from pipeline.storage.dataset import Dataset
from pipeline.storage.remote import RemoteFolder
from tests.helpers.data import make_shards
from tests.helpers.loaders import CPU, GLOBAL_BATCH_SIZE, assert_same_batches, collect

GIB = 2**30


@pytest.fixture(scope="module")
def many_shards(digits_kaggle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits in about fifteen shards of 0.2 MB."""
    return make_shards(
        digits_kaggle, tmp_path_factory.mktemp("many") / "shards", "--shard-size", "0.2"
    )


@pytest.fixture
def uploaded(many_shards: Path) -> Iterator[str]:
    filesystem = fsspec.filesystem("memory")
    for path in many_shards.iterdir():
        filesystem.pipe_file(f"/digits/{path.name}", path.read_bytes())
    yield "memory://digits"
    filesystem.rm("/digits", recursive=True)


def one_epoch(shards: str, cache: Path, **settings: object) -> Loader:
    config = PipelineConfig(
        shards=shards,
        cache_dir=str(cache),
        seed=7,
        threads=1,
        **settings,  # type: ignore[arg-type]
    )
    dataset = open_dataset(config)
    return train_loader(
        dataset,
        config,
        global_batch_size=GLOBAL_BATCH_SIZE,
        device=CPU,
        end_position=dataset.manifest.splits["train"].samples,
    )


@pytest.mark.parametrize("shuffle", ["global", "window", "off"])
def test_batches_equal_those_of_the_folder(
    many_shards: Path, uploaded: str, tmp_path: Path, shuffle: str
) -> None:
    settings = {"shuffle": shuffle, "shuffle_window": 3}
    remote = collect(one_epoch(uploaded, tmp_path, **settings))
    assert_same_batches(remote, collect(one_epoch(str(many_shards), tmp_path, **settings)))
    tars = {path.name for path in tmp_path.rglob("*.tar")}
    assert tars == {path.name for path in many_shards.glob("train-*.tar")}


def test_a_small_cache_is_enough_for_a_shuffle_window(
    many_shards: Path, uploaded: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    size = sum(path.stat().st_size for path in many_shards.glob("train-*.tar")) / 2 / GIB
    settings = {"shuffle": "window", "shuffle_window": 2, "cache_size": size}
    remote = collect(one_epoch(uploaded, tmp_path, **settings))
    assert not caplog.messages
    assert_same_batches(remote, collect(one_epoch(str(many_shards), tmp_path, **settings)))
    cached = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert cached <= size * GIB


def test_a_global_shuffle_with_a_small_cache_warns(
    many_shards: Path, uploaded: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    size = sum(path.stat().st_size for path in many_shards.glob("train-*.tar")) / 3 / GIB
    remote = collect(one_epoch(uploaded, tmp_path, cache_size=size), 2)
    assert "Use --shuffle window" in caplog.messages[0]
    assert_same_batches(remote, collect(one_epoch(str(many_shards), tmp_path), 2))


def test_the_error_names_a_shard_truncated_in_the_cache(uploaded: str, tmp_path: Path) -> None:
    loader = one_epoch(uploaded, tmp_path, shuffle="off")
    with loader:
        batches = iter(loader)
        next(batches)
        for path in tmp_path.rglob("*.tar"):
            path.chmod(0o644)
            os.truncate(path, 1024)
        with pytest.raises(DataError, match=r"sample \d{9} of memory://digits/train-\d+\.tar"):
            list(batches)


def test_the_error_names_a_shard_missing_at_the_url(uploaded: str, tmp_path: Path) -> None:
    loader = one_epoch(uploaded, tmp_path, shuffle="off")
    fsspec.filesystem("memory").rm("/digits/train-000003.tar")
    with pytest.raises(DataError, match=r"memory://digits/train-000003\.tar can't be read"):
        collect(loader)


def test_the_error_names_a_shard_whose_server_hangs(
    uploaded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader, released = (
        one_epoch(uploaded, tmp_path, shuffle="off", stall_timeout=0.5),
        threading.Event(),
    )
    monkeypatch.setattr(RemoteFolder, "read_block", lambda *_: released.wait() and b"")
    with pytest.raises(DataError, match=r"stuck: .* reading memory://digits/train-000000\.tar"):
        collect(loader)
    released.set()


def test_no_shards_at_a_url(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="memory://nowhere holds no complete shards"):
        Dataset("memory://nowhere", cache_dir=str(tmp_path))


def test_shards_in_a_bucket(many_shards: Path, tmp_path: Path, s3: None) -> None:
    filesystem = fsspec.filesystem("s3", skip_instance_cache=True)
    filesystem.put(str(many_shards), "kaggle/shards", recursive=True)
    remote = collect(one_epoch("s3://kaggle/shards", tmp_path), 3)
    assert_same_batches(remote, collect(one_epoch(str(many_shards), tmp_path), 3))
    shutil.rmtree(tmp_path / "shardline")
    filesystem.rm("kaggle/shards/train-000001.tar")
    with pytest.raises(DataError, match=r"s3://kaggle/shards/train-000001\.tar can't be read"):
        collect(one_epoch("s3://kaggle/shards", tmp_path))
