"""The loaders' benchmark: what it compares is equal, and what it says is what was measured."""

import gc
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import Result

from benchmarks.datasets.photographs import prepare_format
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.worker_process import LoaderFailedError, exit_on_sigterm
from benchmarks.peers.__main__ import bars_of, columns_of, finding, main
from benchmarks.peers.loader_process import LoaderLap, racer, timed_lap
from benchmarks.peers.loaders.contract import (
    PEERS,
    Batch,
    NotDeliveredError,
    Task,
    check_epoch,
    checked_size,
)
from benchmarks.peers.loaders.serve import lap
from benchmarks.peers.loaders.transforms import random_window
from benchmarks.peers.peer_run import PeerRun
from tests.helpers.cli import invoke

IMAGES, BATCH_SIZE = 40, 16
# Installed here as well; the others are looked at by the command's --check.
AT_HOME = [key for key in PEERS if key not in ("spdl", "streaming", "litdata", "ffcv")]

of_torchvision = pytest.mark.filterwarnings(
    "ignore:The image decoding and encoding capabilities of TorchVision:DeprecationWarning"
)


@pytest.fixture(autouse=True)
def no_garbage() -> None:
    """A forked worker that collects another test's DALI pipeline waits for ever for threads that
    the fork has left behind."""
    gc.collect()


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As few photographs as there are images, no two alike."""
    folder = tmp_path_factory.mktemp("noise")
    generator = np.random.default_rng(0)
    for number in range(IMAGES):
        pixels = generator.integers(256, size=(40 + number, 90 - number, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), pixels)
    return folder


@pytest.fixture(scope="module")
def stored(noise: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_format(tmp_path_factory.mktemp("stored"), noise, IMAGES, "jpeg")


def task_of(folder: Path, *, endless: bool = False) -> Task:
    return Task(folder=folder, samples=IMAGES, batch_size=BATCH_SIZE, workers=2, endless=endless)


@of_torchvision
@pytest.mark.parametrize("key", AT_HOME)
def test_a_loader_delivers_each_image_once(stored: Path, key: str) -> None:
    check_epoch(PEERS[key].batches(task_of(stored)), task_of(stored))


@of_torchvision
@pytest.mark.parametrize("key", AT_HOME)
def test_a_lap_goes_on_behind_the_epoch(stored: Path, key: str) -> None:
    task = task_of(stored, endless=True)
    batches = PEERS[key].batches(task)
    found = lap(batches, task, drop_seconds=0, seconds=60, most_images=3 * IMAGES)
    assert 3 * IMAGES <= found["images"] < 3 * IMAGES + BATCH_SIZE
    assert found["seconds"] > 0
    batches.close()  # type: ignore[attr-defined]


def test_all_formats_hold_the_same_images(noise: Path, stored: Path, tmp_path: Path) -> None:
    again = prepare_format(stored.parent, noise, IMAGES, "jpeg")
    assert again == stored
    kept = sorted(path.read_bytes() for path in (stored / "files").glob("*/*.jpg"))
    assert kept == sorted(path.read_bytes() for path in noise.iterdir())
    shorter = prepare_format(tmp_path, noise, IMAGES, "png")
    assert len(list((shorter / "files").glob("*/*.png"))) == IMAGES
    assert [path.name for path in tmp_path.iterdir()] == [shorter.name]


def made_batches(task: Task, labels: list[list[int]]) -> Iterator[Batch]:
    for some in labels:
        images = torch.arange(3 * 224 * 224 * len(some)).to(torch.uint8)
        yield images.reshape(len(some), 3, 224, 224), torch.tensor(some)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([[0, 1], [2, 2]], "an epoch had 4 images, 3 of them different, of 4"),
        ([[0, 1], [2]], "an epoch had 3 images, 3 of them different, of 4"),
    ],
)
def test_other_samples_are_noticed(labels: list[list[int]], sentence: str) -> None:
    task = Task(folder=Path(), samples=4, batch_size=2, workers=1)
    with pytest.raises(NotDeliveredError, match=sentence):
        check_epoch(made_batches(task, labels), task)
    check_epoch(made_batches(task, [[3, 1], [2, 0]]), task)


@pytest.mark.parametrize("wrong", ["shape", "dtype", "color"])
def test_other_images_are_noticed(wrong: str) -> None:
    task = Task(folder=Path(), samples=2, batch_size=2, workers=1)
    images, labels = next(made_batches(task, [[0, 1]]))
    changed = {
        "shape": images[:, :, 1:],
        "dtype": images.float(),
        "color": images * torch.tensor([1, 0], dtype=torch.uint8).view(2, 1, 1, 1),
    }[wrong]
    with pytest.raises(NotDeliveredError, match="one color" if wrong == "color" else "a batch is"):
        check_epoch(iter([(changed, labels)]), task)
    assert checked_size((images, labels), task) == 2


def test_windows_are_those_of_torchvision() -> None:
    """Areas and ratios within the limits, unless the image allows none."""
    windows = np.array([random_window(375, 500) for _ in range(5000)])
    y, x, height, width = windows.T
    assert (y >= 0).all() and (x >= 0).all()
    assert (y + height <= 375).all() and (x + width <= 500).all()
    share = height * width / (375 * 500)
    assert share.min() > 0.07 and share.max() <= 1 and 0.4 < share.mean() < 0.6
    assert ((width / height > 0.7) & (width / height < 1.4)).all()
    assert random_window(10, 1000) == (0, 493, 10, 13)


def test_a_loader_stands_still_between_its_laps(stored: Path) -> None:
    with racer("shardline", task_of(stored, endless=True), None) as running:
        laps = [
            timed_lap(running, drop_seconds=0, seconds=0.2, most_images=10**9) for _ in range(2)
        ]
        stat = Path(f"/proc/{running.pid}/stat").read_text()
    assert stat.rpartition(")")[2].split()[0] == "T"
    assert all(each.images >= BATCH_SIZE and each.cpu_seconds > 0 for each in laps)


def test_loaders_end_with_a_benchmark_that_is_ended(stored: Path) -> None:
    with (
        pytest.raises(SystemExit, match="143"),
        exit_on_sigterm(),
        racer("shardline", task_of(stored, endless=True), None) as running,
    ):
        os.kill(os.getpid(), signal.SIGTERM)
    assert not Path(f"/proc/{running.pid}").exists()


def test_a_loader_that_fails_says_why(tmp_path: Path) -> None:
    with (
        racer("shardline", task_of(tmp_path), None) as running,
        pytest.raises(LoaderFailedError, match=r"shards holds no complete shards"),
    ):
        timed_lap(running, drop_seconds=0, seconds=1, most_images=10)


def entrant_of(key: str, images: int) -> PeerRun:
    lap = LoaderLap(images=images, seconds=2.0, cpu_seconds=4.0, read_bytes=500 * images)
    entrant = PeerRun(key=key, task=task_of(Path()), environment=None, laps=[lap] * 3)
    entrant.cached_shares = [0.25] * 3
    return entrant


def test_bars_are_of_runs_that_followed_each_other() -> None:
    entrants = [entrant_of(key, 800) for key in ("shardline", "dali-memory", "torch-pil", "ffcv")]
    values = {
        "shardline": (100.0, 50.0, 90.0),
        "dali-memory": (100.0, 100.0, 100.0),
        "torch-pil": (50.0, 50.0, 60.0),
        "ffcv": (200.0, 200.0, 200.0),
    }
    rates = {
        PEERS[key].name: Measurement(name=PEERS[key].name, values=rates)
        for key, rates in values.items()
    }
    fastest, ceiling = bars_of(entrants, rates, "cpu")
    assert (fastest.of, fastest.bound, fastest.value) == ("torch, PIL", 1.0, 1.5)
    assert (ceiling.of, ceiling.bound, ceiling.value) == ("DALI from memory", 0.97, 0.9)
    assert "shardline: 1.500 times torch, PIL" in str(finding(entrants, rates))
    assert bars_of(entrants[1:], rates, "cpu") == []
    columns = columns_of(entrants)
    assert columns["images/CPU s"]["ffcv"] == "200" and columns["cores"]["ffcv"] == "2.00"
    assert columns["cached"]["ffcv"] == "25%" and columns["bytes read"]["ffcv"] == "500"
    assert columns["pixels"]["shardline"] == "equal" != columns["pixels"]["ffcv"]


def invoked(src: Path, data: Path, *arguments: str) -> Result:
    fixed = ("--src", str(src), "--data", str(data), "--images", str(IMAGES))
    return invoke(main, *fixed, "--batch-size", BATCH_SIZE, *arguments)


def test_the_command_measures_cold_and_ends_with_a_bundle(noise: Path, stored: Path) -> None:
    result = invoked(
        noise,
        stored.parent,
        *("--peers", "shardline", "--peers", "dali-reader", "--page-cache", "cold"),
        *("--runs", "1", "--warmup", "0", "--seconds", "0.05", "--drop-seconds", "0"),
    )
    assert result.exit_code == 0, result.output
    bundle: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    assert bundle["median"].keys() == {"shardline", "DALI's reader"} and not bundle["absent"]
    assert bundle["images_per_cpu_second"].keys() == bundle["cores_busy"].keys()
    (bar,) = bundle["bars"]
    assert bar["of"] == "DALI's reader" and f"{bar['value']:.2f}" in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--images", "15"), 2, "--images 15 is less than --batch-size 16"),
        (("--runs", "0"), 2, "--runs must be at least 1, not 0"),
        (("--peers", "nobody"), 2, "'nobody' is not one of 'shardline'"),
        (("--format", "gif"), 2, "'gif' is not one of 'jpeg'"),
    ],
)
def test_the_command_refuses(
    noise: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    result = invoked(noise, tmp_path, *arguments)
    assert (result.exit_code, result.output.count("Error:")) == (code, 1)
    assert sentence in result.output
