"""The demo's figure, and options from the environment."""

import json
import sys
import tomllib
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from click.testing import CliRunner, Result
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from benchmarks.demo import compare, write_digits
from benchmarks.demo.compare import DOWNLOAD, SHARDS, DownloadedImages
from benchmarks.demo.figure import DemoResult, draw_result
from benchmarks.measuring.alternate import Measurement
from benchmarks.report import __main__ as report
from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from tests.helpers.cli import invoke
from tests.helpers.run_records import records, write
from trainer.plotting.curves import open_runs


def result(folder: Path, shards_rate: float, download_rate: float = 1.5) -> DemoResult:
    """Of a run of 40 s, of which steps wait for data for 8; each loader in two rounds."""
    (run,) = open_runs([write(folder / "run", records(seconds=2.0, top1=0.8))])
    return DemoResult(
        run=run,
        download=Measurement(name=DOWNLOAD, values=(download_rate, 2 * download_rate)),
        shards=Measurement(name=SHARDS, values=(shards_rate, 2 * shards_rate)),
        part_seconds={"sharding": 1.0, "loaders": 2.0, "trainer": 50.0},
    )


def test_rates_and_stages_of_the_demo(tmp_path: Path) -> None:
    demo = result(tmp_path, 3.0)
    assert demo.training.median == pytest.approx(4.0)
    assert demo.compute_rate == pytest.approx(5.0)
    assert sum(demo.stages.values()) == pytest.approx(53.0)
    assert demo.stages["waiting for data"] == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("shards_rate", "download_rate", "gain", "limit"),
    [
        (3.0, 1.5, "the shards 2.00 times as fast as", "still input"),
        (24.0, 1.5, "the shards 16 times as fast as", "now compute"),
        (24.0, 6.0, "the shards 4.00 times as fast as", "compute with both"),
        (6.0, 6.0, "the shards not measurably faster than", "compute with both"),
    ],
)
def test_the_demo_says_what_sharding_gains_and_what_the_limit_is(
    tmp_path: Path, shards_rate: float, download_rate: float, gain: str, limit: str
) -> None:
    demo = result(tmp_path, shards_rate, download_rate)
    assert gain in demo.finding()
    assert demo.finding().endswith(f"; the limit is {limit}: the model trains at 4.000 images/s.")
    assert demo.title().endswith(f"; the limit is {limit}")
    assert ("not measurably" in demo.title()) == (shards_rate == download_rate)


@pytest.mark.parametrize("shards_rate", [0.5, 3.0, 50_000.0])
def test_no_text_of_the_demo_s_figure_overlaps_or_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards_rate: float
) -> None:
    drawn: dict[Text, Bbox] = {}

    def draw(text: Text, renderer: Any) -> None:
        draw_text(text, renderer)
        if text.get_visible() and text.get_text().strip():
            drawn[text] = text.get_window_extent(renderer)

    draw_text = Text.draw
    monkeypatch.setattr(Text, "draw", draw)
    path = tmp_path / "demo.png"
    draw_result(result(tmp_path, shards_rate), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    height, width, _ = cv2.imread(str(path)).shape
    boxes = [(text.get_text(), box) for text, box in drawn.items()]
    assert any("torch DataLoader" in text for text, _ in boxes)
    for text, box in boxes:
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height, text
    for (text, box), (other, other_box) in combinations(boxes, 2):
        assert not box.overlaps(other_box), (text, other)


def test_files_and_shards_hold_the_same_images(digits_kaggle: Path, digits_shards: Path) -> None:
    index = Dataset(str(digits_shards)).split("train")
    files = DownloadedImages(index, digits_kaggle, 32)
    rows = (digits_kaggle / "train.csv").read_text().splitlines()[1:]
    labels = dict(row.split(",") for row in rows)
    assert len(files) == len(index) == len({*files.paths})
    assert [labels[path.stem] for path in files.paths] == [str(label) for label in files.labels]
    image, label = files[3]
    assert (tuple(image.shape), image.dtype, label) == ((3, 32, 32), torch.uint8, files.labels[3])


def compared(download: Path, shards: Path, *arguments: object) -> Result:
    short = ("--runs", 1, "--warmup", 0, "--seconds", 0.01, "--drop-seconds", 0)
    return invoke(compare.main, "--src", download, "--shards", shards, *short, *arguments)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # torch's, where threads run
def test_files_and_shards_are_compared(digits_kaggle: Path, digits_shards: Path) -> None:
    outcome = compared(digits_kaggle, digits_shards, "--threads", 1)
    assert outcome.exit_code == 0, outcome.output
    bundle = json.loads(outcome.output.splitlines()[-1])
    assert [*bundle["median"]] == [DOWNLOAD, SHARDS] and min(bundle["median"].values()) > 0
    assert bundle["workers"] == 1 and "at 32 px, batch 32, 1 threads" in bundle["benchmark"]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_comparison_with_another_download(
    digits_kaggle: Path, digits_shards: Path, tmp_path: Path, elsewhere: bool
) -> None:
    if elsewhere:
        (tmp_path / "train").symlink_to(digits_kaggle / "train")
    outcome = compared(tmp_path, digits_shards)
    assert outcome.exit_code == 1
    assert f"is no file in {tmp_path}, but the shards name it" in outcome.output


def test_without_scikit_learn_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"pip install -c constraints.txt -e '\.\[demo\]'"):
        write_digits(tmp_path / "kaggle")
    assert not (tmp_path / "kaggle").exists()


PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("script", [name for name in PROJECT["scripts"] if "bench-" in name])
def test_options_may_come_from_the_environment(script: str) -> None:
    module, _, command = PROJECT["scripts"][script].partition(":")
    settings = getattr(import_module(module), command).context_settings
    assert settings["auto_envvar_prefix"] == "BENCH"


def test_an_option_from_the_environment() -> None:
    result = CliRunner(env={"BENCH_VERIFY": "1"}).invoke(report.main, ["none.json"])
    assert result.exit_code == 1 and "1 of 1 inputs are invalid" in result.output
