"""What an earlier version wrote still opens: shards, a run, a profile and results.

tests/data/earlier was written on 2026-11-29 by the last version whose options were called
--clip-norm, --accumulate, --flip-test and --mask-colours: 30 images made by code, the tiny model.
"""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.measuring.result_file import BY_STAGE, COMPUTE, read_bundle
from benchmarks.predict.__main__ import main as predict
from pipeline.settings_file import read_profile
from pipeline.storage.dataset import Dataset
from tests.helpers import tiny_trainer
from tests.helpers.checking import TASKS, findings
from tests.helpers.cli import invoke
from tests.helpers.handmade import restated, write_shards
from tests.helpers.processes import lines
from tools.checking.cli import main as check
from tools.showing.cli import main as show
from trainer.__main__ import main as train
from trainer.evaluate import main as evaluate

EARLIER = Path(__file__).parents[1] / "data" / "earlier"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run names its shards by a relative path."""
    monkeypatch.chdir(shutil.copytree(EARLIER, tmp_path / "earlier"))
    return tmp_path / "earlier"


def test_shards_are_complete_and_shown(folder: Path) -> None:
    checked = invoke(check, folder / "shards")
    assert checked.exit_code == 0, checked.output
    shown = invoke(show, folder / "shards", "--out", folder / "shards.png")
    assert shown.exit_code == 0, shown.output
    assert "24" in shown.output and (folder / "shards.png").exists()


def test_shards_of_version_2_read_as_fully_labeled(folder: Path) -> None:
    manifest = Dataset(folder / "shards").manifest
    assert manifest.version == 2 and manifest.labels == manifest.classes == ("a", "b", "c")
    assert {name: (split.samples, split.labeled) for name, split in manifest.splits.items()} == {
        "train": (24, 24),
        "val": (6, 6),
    }
    assert manifest.to_json() == (folder / "shards" / "dataset.json").read_text()


@pytest.mark.parametrize("task", TASKS)
def test_every_task_of_version_2_is_checked_and_shown(task: str, tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", task, version=2, **TASKS[task])  # type: ignore[arg-type]
    assert "labeled" not in (shards / "dataset.json").read_text()
    checked = invoke(check, shards, "--decode")
    assert checked.exit_code == 0, checked.output
    assert invoke(show, shards, "--out", tmp_path / "shards.png").exit_code == 0


def test_version_2_has_no_samples_without_labels(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", version=2, split="test", unlabeled=[3])
    splits = json.loads((shards / "dataset.json").read_text())["splits"]
    splits["test"]["class_counts"][1] += 1
    restated(shards, splits=splits)
    assert any("it has no label in the index" in line for line in findings(shards))


def test_a_run_is_evaluated_with_its_flips(folder: Path) -> None:
    result = invoke(evaluate, "run")
    assert result.exit_code == 0, result.output
    (*_, evaluation) = lines(folder / "run", "evaluation")
    assert f"{evaluation['top1']:.2%}" in result.output
    assert "with flips" in result.output


def test_a_run_resumes_by_the_earlier_names_of_options(folder: Path) -> None:
    options = "--shards shards --out run --epochs 3 --global-batch-size 8 --precision fp32 "
    options += "--image-size 32 --accumulate 2 --clip-norm 1 --flip-test --threads 1"
    result = invoke(train, "--model", tiny_trainer.MODEL, *options.split())
    assert result.exit_code == 0, result.output
    assert [record["position"] for record in lines(folder / "run", "evaluation")] == [24, 48, 72]
    config = json.loads((folder / "run" / "config.json").read_text())
    assert (config["accumulate_steps"], config["grad_clip_norm"], config["tta"]) == (2, 1, "flip")


def test_a_profile_is_read() -> None:
    assert read_profile(str(EARLIER / "profile.json"))["read_ahead"] == 8


def test_results_have_a_kind_and_rows_with_fields(tmp_path: Path) -> None:
    compute, loader = (read_bundle(EARLIER / name) for name in ("compute.json", "loader.json"))
    assert (compute["kind"], loader["kind"]) == (COMPUTE, BY_STAGE)
    assert compute["rows"]["channels-last, batch 4"] == {"mode": "channels-last", "batch_size": 4}
    result = invoke(predict, EARLIER / "compute.json", EARLIER / "loader.json", "--batch-size", 4)
    assert result.exit_code == 0, result.output
