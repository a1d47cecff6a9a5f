"""bench-study: the command, its folder, and an interrupted study."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measuring.result_file import read_bundle, seal
from benchmarks.scaling.record import LOADER, SYNTHETIC, WARM
from benchmarks.study import run
from benchmarks.study.__main__ import main
from benchmarks.study.folder import lock_folder
from pipeline.errors import DataError
from tests.helpers.cli import invoke
from tests.helpers.scaling_results import scaling
from tests.helpers.trainings_here import train_here


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trainings run in this process and the ladder is made up; the commands started, in order."""
    starts = train_here(monkeypatch)

    def ladder(study: Any, settings: Any, typed: dict[str, Any]) -> None:
        starts.append("ladder")
        path = scaling(Path(study.output), {1: {SYNTHETIC: 100, LOADER: 60, WARM: 105}})
        of_ladder = {name: getattr(study, name) for name in ("ranks", "batch_size", "seconds")}
        stated = settings.to_dict() | typed | of_ladder | {"runs": study.runs}
        bundle = {**read_bundle(path), "settings": stated}
        del bundle["sha256"]
        path.write_text(json.dumps(seal(bundle)))

    monkeypatch.setattr(run, "measure_ladder", ladder)
    return starts


@pytest.mark.long
def test_an_interrupted_study_resumes(
    started: list[str], digits_shards: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    study = ("--data", digits_shards, "--ranks", "1", "--seeds", "0,1", "--out", folder)
    study += ("--device", "cpu", "--model", "squeezenet1_1", "--epochs", "0.05")
    study += ("--global-batch-size", "32")
    first = invoke(main, *study, "--max-bad", "0.5")
    assert first.exit_code == 0, first.output
    assert started == ["trainer", "trainer", "ladder"]
    bundle = read_bundle(folder / "study.json")
    (configuration,) = bundle["configurations"]
    assert [seed["starts"] for seed in configuration["seeds"]] == [1, 1]
    assert bundle["median"].keys() == {"PyTorch, 1 rank"} and len(bundle["answers"]) == 4
    page = (folder / "report" / "report.md").read_text()
    assert page.startswith(f"# {bundle['finding']}") and "Not included" not in page
    assert "| PyTorch, 1 rank, seed 1 |" in page and (folder / "report" / "study-time.png").exists()

    rejected = invoke(main, *study, "--max-bad", "0.4")
    assert rejected.exit_code == 1 and "with --max-bad 0.5, this study has 0.4" in rejected.output

    # As if the study had been killed during the second training.
    metrics = folder / "cells" / "pytorch-1-seed1" / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:-1]))
    started.clear()
    again = invoke(main, *study, "--max-bad", "0.5")
    assert again.exit_code == 0, again.output
    assert started == ["trainer"] and "1 of 2: PyTorch, 1 rank, seed 0 is done." in again.output
    started.clear()
    assert invoke(main, *study, "--max-bad", "0.5", "--seconds", "0.1").exit_code == 0
    assert started == ["ladder"]


HOLD = "import sys, time; from benchmarks.study.folder import lock_folder\n"
HOLD += (
    "with lock_folder(__import__('pathlib').Path(sys.argv[1])): print('held', flush=True); input()"
)


def test_one_study_uses_a_folder_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    command = [sys.executable, "-c", HOLD, str(folder)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        rejected = pytest.raises(DataError, match="Another bench-study is running in")
        with rejected, lock_folder(folder, wait_seconds=0):
            pass
        other.kill()
    with lock_folder(folder, wait_seconds=0) as lock:
        assert lock > 2


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--frameworks", "pytorch,mxnet"), 2, "'mxnet' is not one of 'pytorch', 'keras'"),
        (("--seeds", "0,-1"), 2, "-1 is not in the range x>=0"),
        (("--synthetic",), 2, "real input"),
        (("--data", "nowhere"), 1, "nowhere holds no complete shards"),
        (("--ranks", "1,3"), 2, "can't be divided by 3 ranks"),
        (("--between", "string"), 2, "--between string is not a link"),
        (("--resume", "never"), 2, "bench-study always resumes"),
        (("--model", "resnet51"), 2, "--model resnet51: no such classification model"),
        (("--out", __file__), 2, "is a file: give a folder"),
        (("--frameworks", "keras", "--model", "vgg11"), 2, "--model vgg11 is not supported"),
        (("--frameworks", "keras", "--mixup-alpha", "0.2"), 2, "--mixup-alpha is not supported"),
        (
            ("--frameworks", "keras", "--environment", __file__),
            1,
            "The virtualenv for Keras can't be created in",
        ),
    ],
)
def test_the_command_rejects(
    started: list[str],
    digits_shards: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    plain = {"--shards": digits_shards, "--device": "cpu", "--ranks": 1, "--out": tmp_path}
    if "--synthetic" in arguments:
        del plain["--shards"]
    words = [item for pair in plain.items() if pair[0] not in arguments for item in pair]
    outcome = invoke(main, *words, *arguments)
    assert outcome.exit_code == code and sentence in " ".join(outcome.output.split())
    assert not started
