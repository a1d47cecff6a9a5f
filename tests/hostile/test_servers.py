"""Nothing that a server sends in place of shards hangs, fills memory or stays in the cache."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline import watchdog
from pipeline.build import train_loader
from pipeline.config import PipelineConfig, open_dataset
from pipeline.errors import DataError
from pipeline.loader import Loader
from pipeline.storage import http_answers
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest_parsing import MAX_MANIFEST_BYTES
from tests.helpers import web_server
from tests.helpers.cli import invoke
from tests.helpers.handmade import restated, write_shards
from tests.helpers.loaders import CPU, assert_same_batches, collect
from tests.helpers.web_server import PAGE, Answer, Site, constant, served
from trainer.__main__ import main as train

TAR, TABLE, MANIFEST = "train-000000.tar", "train.samples.npy", "dataset.json"
# What an endless or slow server still has sent when its reader has closed the connection.
BUFFERED_BYTES = 2**24


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "shards")


@pytest.fixture
def site(shards: Path) -> Iterator[Site]:
    with served(shards) as site:
        yield site


def load(location: str, cache: Path, **settings: object) -> Loader:
    config = PipelineConfig(
        shards=location,
        cache_dir=str(cache),
        threads=1,
        image_size=32,
        shuffle="off",
        **settings,  # type: ignore[arg-type]
    )
    return train_loader(
        open_dataset(config), config, global_batch_size=8, device=CPU, end_position=24
    )


def error_of(site: Site, cache: Path, **settings: object) -> str:
    """The message with which the reading of all samples ends."""
    with pytest.raises(DataError) as caught:
        collect(load(site.url, cache, **settings))
    return caught.value.message


def cached(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*") if path.is_file()}


@pytest.mark.parametrize("answer", [web_server.with_ranges, web_server.without_ranges])
def test_an_honest_server(shards: Path, site: Site, tmp_path: Path, answer: Answer) -> None:
    site.others = answer
    remote = collect(load(site.url, tmp_path / "cache"))
    assert_same_batches(remote, collect(load(str(shards), tmp_path / "cache")))
    asked = [start for name, start in site.requests if name == TAR]
    assert asked == [0]


def test_an_interrupted_fetch_is_continued_without_ranges(
    shards: Path, site: Site, tmp_path: Path
) -> None:
    site.others = web_server.without_ranges
    data = (shards / TAR).read_bytes()
    folder = Dataset(site.url, cache_dir=str(tmp_path / "cache")).directory
    (folder / f"{TAR}.{len(data)}.part").write_bytes(data[:1000])
    remote = collect(load(site.url, tmp_path / "cache"))
    assert_same_batches(remote, collect(load(str(shards), tmp_path / "cache")))
    assert [start for name, start in site.requests if name == TAR] == [1000]


@pytest.mark.parametrize("page", [PAGE, PAGE + b" " * 200_000], ids=["short", "long"])
@pytest.mark.parametrize("ranges", [False, True])
@pytest.mark.parametrize("name", [TAR, TABLE, MANIFEST])
def test_a_web_page_is_named(
    site: Site, tmp_path: Path, name: str, page: bytes, ranges: bool
) -> None:
    """As a proxy or the login page of a network sends it, with status 200."""
    site.answers[name] = constant(page, ranges=ranges)
    message = error_of(site, tmp_path / "cache")
    assert f"{site.url}/{name} " in message
    assert "It begins with '<!DOCTYPE html', so it looks like a web page" in message
    assert f"{len(page):,} " in message or "fetched twice" in message
    assert len([asked for asked, _ in site.requests if asked == name]) <= 4
    assert not any(file.startswith(name) for file in cached(tmp_path / "cache"))


@pytest.mark.parametrize("name", [TAR, TABLE])
def test_a_file_of_the_right_size(shards: Path, site: Site, tmp_path: Path, name: str) -> None:
    data = (shards / name).read_bytes()
    site.answers[name] = constant(bytes([data[0] ^ 1]) + data[1:], ranges=True)
    message = error_of(site, tmp_path / "cache")
    assert f"{site.url}/{name} was fetched twice, and its SHA-256 is not" in message
    assert f"wanted: {len(data):,} bytes, " in message and "web page" not in message
    assert not any(file.startswith(name) for file in cached(tmp_path / "cache"))


@pytest.mark.parametrize("name", [TAR, TABLE, MANIFEST])
def test_a_command_ends_with_one_sentence(site: Site, tmp_path: Path, name: str) -> None:
    site.answers[name] = constant(PAGE)
    options = ("--shards", site.url, "--cache-dir", tmp_path / "cache", "--device", "cpu")
    model = ("--model", "resnet8", "--threads", 1, "--global-batch-size", 8, "--image-size", 32)
    result = invoke(train, *options, *model, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "looks like a web page" in result.output and "Traceback" not in result.output


@pytest.mark.parametrize(
    "answer", [web_server.short, web_server.slow, web_server.silent], ids=lambda one: one.__name__
)
@pytest.mark.parametrize("name", [TAR, TABLE, MANIFEST])
def test_a_trickle_is_a_stall(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, answer: Answer
) -> None:
    monkeypatch.setattr(watchdog, "STALL_SECONDS", 0.7)
    site.answers[name] = answer
    message = error_of(site, tmp_path / "cache", stall_timeout=0.7)
    waited_for = f"while reading {site.url}/{name} (" if name == TAR else f"{site.url}/{name} is"
    assert waited_for in message and "is stuck: " in message
    assert "less than 1,048,576 bytes of it came" in message
    assert name not in cached(tmp_path / "cache")


@pytest.mark.parametrize("name", [TAR, TABLE, MANIFEST])
def test_a_silent_server_is_asked_twice(
    shards: Path, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(http_answers, "_SILENT_SECONDS", 0.5)
    site.answers[name] = web_server.silent_once
    if name != TABLE:  # its size is asked for first, and once
        remote = collect(load(site.url, tmp_path / "cache"))
        assert_same_batches(remote, collect(load(str(shards), tmp_path / "cache")))
    site.answers[name] = web_server.silent
    site.requests.clear()
    message = error_of(site, tmp_path / "other")
    assert f"{site.url}/{name} can't be read (Timeout on reading data" in message
    # A shard is tried again when it is needed, if it could not be fetched ahead.
    most = 4 if name == TAR else 2
    assert len([asked for asked, _ in site.requests if asked == name]) <= most


def test_a_slow_file_that_delivers_enough_is_no_stall(
    shards: Path, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least LEAST_BYTES in each timeout, here fewer than in a training."""
    for module in ("pipeline.watchdog", "pipeline.storage.http_answers"):
        monkeypatch.setattr(f"{module}.LEAST_BYTES", 1000)

    def steady(request: web_server.Request, data: bytes) -> None:
        start, end = request.asked
        request.begin(206, Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")
        for place in range(start, min(end, len(data)), 2000):
            request.send(data[place : min(end, place + 2000)])
            time.sleep(0.05)

    site.answers[TAR] = steady
    size = (shards / TAR).stat().st_size
    assert size / 2000 * 0.05 > 0.8
    remote = collect(load(site.url, tmp_path / "cache", stall_timeout=0.4))
    assert_same_batches(remote, collect(load(str(shards), tmp_path / "cache")))


def test_an_endless_manifest_is_refused(site: Site, tmp_path: Path) -> None:
    site.answers[MANIFEST] = web_server.endless_whole
    message = error_of(site, tmp_path / "cache")
    assert message.startswith(f"{site.url}/{MANIFEST} is longer than 67,108,864 bytes")
    assert site.sent_bytes < MAX_MANIFEST_BYTES + BUFFERED_BYTES


def test_a_long_manifest_in_a_folder_is_refused(shards: Path) -> None:
    with (shards / MANIFEST).open("ab") as file:
        file.truncate(MAX_MANIFEST_BYTES + 1)
    with pytest.raises(DataError, match="is longer than 67,108,864 bytes"):
        Dataset(shards)


@pytest.mark.parametrize("name", [TAR, TABLE])
def test_no_more_than_the_stated_bytes_are_read(site: Site, tmp_path: Path, name: str) -> None:
    site.answers[name] = web_server.endless
    message = error_of(site, tmp_path / "cache")
    assert f"{site.url}/{name} was fetched twice" in message
    assert site.sent_bytes < 3 * BUFFERED_BYTES


def test_a_table_longer_than_its_samples_is_not_fetched(
    shards: Path, site: Site, tmp_path: Path
) -> None:
    with (shards / TABLE).open("ab") as file:
        file.write(bytes(5000))
    restated(shards)
    message = error_of(site, tmp_path / "cache")
    assert f"{site.url}/{TABLE} is {(shards / TABLE).stat().st_size:,} bytes long, but" in message
    assert TABLE not in cached(tmp_path / "cache")


def test_tables_of_a_server_are_those_of_the_folder(
    shards: Path, site: Site, tmp_path: Path
) -> None:
    remote = Dataset(site.url, cache_dir=str(tmp_path / "cache")).split("train").samples
    assert np.array_equal(remote, Dataset(shards).split("train").samples)
