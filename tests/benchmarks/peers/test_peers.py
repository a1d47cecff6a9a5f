"""The comparison of loaders: equal tasks for all, and a report of what was measured."""

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
from benchmarks.measuring.table import figure_columns
from benchmarks.measuring.virtualenvs import Virtualenv
from benchmarks.measuring.worker_process import WorkerFailedError, exit_on_sigterm
from benchmarks.peers import loaders
from benchmarks.peers.__main__ import COLUMNS, describe_rates, main, targets_of
from benchmarks.peers.contract import Batch, NotDeliveredError, Task, check_epoch, checked_size
from benchmarks.peers.loaders import find_peers
from benchmarks.peers.peer_run import LoaderLap, PeerRun, start_loader
from benchmarks.peers.serve import measure
from benchmarks.peers.transforms import random_crop
from tests.helpers.amounts import all_or_tenth
from tests.helpers.cli import invoke

IMAGES, BATCH_SIZE = 40, 16
LAP = {"mode": "lap", "drop_seconds": 0, "seconds": 0.2, "max_images": 10**9}
# These run in our own virtualenv; --check of the command checks the others.
PEERS = find_peers()
AWAY = ("spdl", "streaming", "litdata", "ffcv", "torch-torchcodec")
AT_HOME = [key for key in PEERS if key not in AWAY]

of_torchvision = pytest.mark.filterwarnings(
    "ignore:The image decoding and encoding capabilities of TorchVision:DeprecationWarning"
)


@pytest.fixture(autouse=True)
def no_garbage() -> None:
    """A forked worker that collects the DALI pipeline of another test would wait forever for
    threads, which a fork does not copy."""
    gc.collect()


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """IMAGES different images of noise."""
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
@pytest.mark.parametrize("key", all_or_tenth(AT_HOME))
def test_a_lap_continues_after_an_epoch(stored: Path, key: str) -> None:
    task = task_of(stored, endless=True)
    batches = PEERS[key].batches(task)
    lap = measure(batches, task, drop_seconds=0, seconds=60, max_images=3 * IMAGES)
    assert 3 * IMAGES <= lap["images"] < 3 * IMAGES + BATCH_SIZE
    assert lap["seconds"] > 0
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
    for batch in labels:
        images = torch.arange(3 * 224 * 224 * len(batch)).to(torch.uint8)
        yield images.reshape(len(batch), 3, 224, 224), torch.tensor(batch)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([[0, 1], [2, 2]], "an epoch had 4 images, 3 of them different, of 4"),
        ([[0, 1], [2]], "an epoch had 3 images, 3 of them different, of 4"),
    ],
)
def test_wrong_samples_are_rejected(labels: list[list[int]], sentence: str) -> None:
    task = Task(folder=Path(), samples=4, batch_size=2, workers=1)
    with pytest.raises(NotDeliveredError, match=sentence):
        check_epoch(made_batches(task, labels), task)
    check_epoch(made_batches(task, [[3, 1], [2, 0]]), task)


@pytest.mark.parametrize("wrong", ["shape", "dtype", "color"])
def test_wrong_images_are_rejected(wrong: str) -> None:
    task = Task(folder=Path(), samples=2, batch_size=2, workers=1)
    images, labels = next(made_batches(task, [[0, 1]]))
    changed = {
        "shape": images[:, :, 1:],
        "dtype": images.float(),
        "color": images * torch.tensor([1, 0], dtype=torch.uint8).view(2, 1, 1, 1),
    }[wrong]
    with pytest.raises(
        NotDeliveredError, match="a single color" if wrong == "color" else "a batch is"
    ):
        check_epoch(iter([(changed, labels)]), task)
    assert checked_size((images, labels), task) == 2


def test_crops_are_distributed_as_torchvision_s() -> None:
    """Areas and ratios are within the limits, unless the image allows none."""
    crops = np.array([random_crop(375, 500) for _ in range(5000)])
    y, x, height, width = crops.T
    assert (y >= 0).all() and (x >= 0).all()
    assert (y + height <= 375).all() and (x + width <= 500).all()
    share = height * width / (375 * 500)
    assert share.min() > 0.07 and share.max() <= 1 and 0.4 < share.mean() < 0.6
    assert ((width / height > 0.7) & (width / height < 1.4)).all()
    assert random_crop(10, 1000) == (0, 493, 10, 13)


def test_a_loader_is_suspended_between_its_laps(stored: Path) -> None:
    with start_loader("shardline", task_of(stored, endless=True), Virtualenv()) as worker:
        laps = [worker.request(LAP) for _ in range(2)]
        stat = Path(f"/proc/{worker.pid}/stat").read_text()
    assert stat.rpartition(")")[2].split()[0] == "T"
    assert all(lap["images"] >= BATCH_SIZE and lap["cpu_seconds"] > 0 for lap in laps)


def test_loaders_end_when_sigterm_ends_the_benchmark(stored: Path) -> None:
    with (
        pytest.raises(SystemExit, match="143"),
        exit_on_sigterm(),
        start_loader("shardline", task_of(stored, endless=True), Virtualenv()) as worker,
    ):
        os.kill(os.getpid(), signal.SIGTERM)
    assert not Path(f"/proc/{worker.pid}").exists()


def test_a_loader_that_fails_reports_its_error(tmp_path: Path) -> None:
    with (
        start_loader("shardline", task_of(tmp_path), Virtualenv()) as worker,
        pytest.raises(WorkerFailedError, match=r"shards holds no complete shards"),
    ):
        worker.request(LAP)


def test_a_peer_is_listed_by_its_module() -> None:
    modules = {path.stem for path in Path(loaders.__file__).parent.glob("[!_]*.py")}
    batches = (getattr(peer.batches, "func", peer.batches) for peer in PEERS.values())
    assert {function.__module__.rpartition(".")[2] for function in batches} == modules
    assert next(iter(PEERS)) == "shardline" and len(PEERS) == 13


def test_figures_are_medians_over_laps() -> None:
    laps = [
        LoaderLap(images=800, seconds=2.0, cpu_seconds=seconds, read_bytes=400_000)
        for seconds in (4.0, 2.0, 8.0)
    ]
    peer_run = PeerRun(key="ffcv", task=task_of(Path()), laps=laps)
    columns = figure_columns({"ffcv": peer_run.figures()}, COLUMNS)
    assert columns == {
        "images/CPU s": {"ffcv": "200"},
        "cores": {"ffcv": "2.00"},
        "bytes read": {"ffcv": "500"},
    }
    peer_run.cached_shares = [0.25] * 3
    assert figure_columns({"ffcv": peer_run.figures()}, COLUMNS)["cached"] == {"ffcv": "25%"}


def test_targets_compare_runs_of_the_same_round() -> None:
    values = {
        "shardline": (100.0, 50.0, 90.0),
        "dali-memory": (100.0, 100.0, 100.0),
        "torch-pil": (50.0, 50.0, 60.0),
        "ffcv": (200.0, 200.0, 200.0),
    }
    rates = {key: Measurement(name=PEERS[key].name, values=runs) for key, runs in values.items()}
    fastest, ceiling, rougher = targets_of(rates, "cpu", "jpeg256")
    assert (fastest.of, fastest.bound, fastest.value) == ("torch, PIL", 1.3, 1.5)
    assert (ceiling.of, ceiling.bound, ceiling.value) == ("our graph, from memory", 0.97, 0.9)
    assert (rougher.of, rougher.bound, rougher.value) == (PEERS["ffcv"].name, 1.0, 0.45)
    assert "shardline: 1.500 times torch, PIL" in str(describe_rates(rates))
    del rates["shardline"]
    assert targets_of(rates, "cpu", "png") == []


def invoked(src: Path, data: Path, *arguments: str) -> Result:
    fixed = ("--src", str(src), "--data", str(data), "--batch-size", BATCH_SIZE)
    images = () if "--images" in arguments else ("--images", IMAGES)
    return invoke(main, *fixed, *images, *arguments)


def test_the_command_measures_cold_files_and_ends_with_a_result(noise: Path, stored: Path) -> None:
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
    assert "equal" in result.output
    (target,) = bundle["bars"]
    assert target["of"] == "DALI's reader" and f"{target['value']:.2f}" in result.output


def test_the_command_checks_an_epoch(noise: Path, stored: Path) -> None:
    result = invoked(noise, stored.parent, "--check", "--peers", "shardline")
    assert result.exit_code == 0, result.output
    assert "shardline: every image once, uint8" in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--images", "15"), 2, "--images 15 is less than --batch-size 16"),
        (("--runs", "0"), 2, "--runs must be at least 1, not 0"),
        (("--peers", "unknown"), 2, "'unknown' is not one of 'shardline'"),
        (("--format", "gif"), 2, "'gif' is not one of 'jpeg'"),
    ],
)
def test_the_command_rejects(
    noise: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    result = invoked(noise, tmp_path, *arguments)
    assert (result.exit_code, result.output.count("Error:")) == (code, 1)
    assert sentence in result.output
