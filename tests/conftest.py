"""Real data for tests: scikit-learn's digits always, archives of real photographs where there are.

Archives lie in the folder that SHARDLINE_DATA names, or in ../shared/data beside the checkout.
"""

import multiprocessing
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

import fsspec
import pytest
import torch
from hypothesis import settings

from tests.helpers.amounts import LONG, full_or_tenth
from tests.helpers.data import archive_of, make_shards
from tools.workers import Workers
from tools.writing.block_encoding import prepare_worker

# Examples are not timed: machines that run tests are busy.
settings.register_profile(
    "shardline", deadline=None, max_examples=full_or_tenth(1000), derandomize=not LONG
)
settings.load_profile("shardline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long") and not LONG:
            item.add_marker(pytest.mark.skip(reason="is part of make test-long"))
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Unpack an archive of real images by name, once; skip the test where it is absent."""
    folder = tmp_path_factory.mktemp("data")

    def unpacked(name: str) -> Path:
        path = archive_of(name)
        if not (folder / name).exists():
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
        return folder / name

    return unpacked


@pytest.fixture(scope="session")
def digits_kaggle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's 1,797 digits as a Kaggle download: train/<id>.png and train.csv."""
    from benchmarks.demo import write_digits

    folder = tmp_path_factory.mktemp("digits") / "kaggle"
    write_digits(folder)
    return folder


@pytest.fixture(scope="session")
def digits_shards(digits_kaggle: Path) -> Path:
    """The digits as shards, splits train and val; for reading only."""
    return make_shards(digits_kaggle, digits_kaggle.parent / "shards")


@pytest.fixture(scope="session")
def photographs(
    shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """600 ImageNet photographs as shards, their bytes untouched; for reading only."""
    source = shared_data("imagenet_sample")
    out = tmp_path_factory.mktemp("photographs") / "shards"
    return make_shards(source, out, "--encode", "keep", "--label-column", "class_id")


@pytest.fixture(scope="module")
def s3() -> Iterator[None]:
    """A local S3 server with a bucket "kaggle", which all processes find by their environment."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        # Its buckets outlive a server of the same process.
        reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()
        # Another module's file system would ask that module's server.
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("kaggle")
        yield
    server.stop()


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Two processes as those of tools/shard."""
    with Workers(2, prepare=prepare_worker) as workers:
        yield workers


@pytest.fixture(scope="session")
def fork_server() -> Iterator[forkserver.ForkServer]:
    """Has loaded torch, DALI, the trainer and torchrun, once for all tests."""
    server = forkserver.ForkServer()  # type: ignore[attr-defined]
    server.set_forkserver_preload(["pipeline.build", "trainer.train", "torch.distributed.run"])
    yield server
    server._stop()


@pytest.fixture
def loaded(
    fork_server: forkserver.ForkServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ForkServerContext]:
    """Starts processes in which torch, DALI and the trainer are loaded; ends those that a failed
    test has left."""
    # The server of tools/shard, which the module holds, has loaded other modules.
    monkeypatch.setattr(forkserver, "connect_to_new_process", fork_server.connect_to_new_process)
    before = set(multiprocessing.active_children())
    yield multiprocessing.get_context("forkserver")
    for left in set(multiprocessing.active_children()) - before:
        left.kill()
