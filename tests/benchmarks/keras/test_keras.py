"""Keras trains the network that the trainer would, weight for weight, on the same batches."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.frameworks import __main__ as frameworks
from benchmarks.frameworks.__main__ import FRAMEWORKS, main
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.provenance import ROOT
from benchmarks.measuring.virtualenvs import (
    KERAS_FOLDER,
    KERAS_PACKAGES,
    Virtualenv,
    installed_versions,
)

# Of float32's: a loss is a mean of few numbers, the sums in it come in another order.
TOLERANCE = 1e-5
# After steps, which rounding errors grow with.
STEPS_TOLERANCE = 5e-3


@pytest.fixture(scope="module")
def keras_python() -> str:
    """A Python that has TensorFlow and Keras."""
    if find_spec("keras") and find_spec("tensorflow"):
        return sys.executable
    if not set(KERAS_PACKAGES) <= set(installed_versions(KERAS_FOLDER)):
        pytest.skip("needs TensorFlow: run bench-frameworks once, or install .[tensorflow]")
    return str(KERAS_FOLDER / "bin" / "python")


@pytest.fixture(scope="module")
def checks(
    keras_python: str, digits_shards: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, Any]]]:
    """What ``keras_check`` says on each backend; both at once, which have a core each to start."""
    folder = tmp_path_factory.mktemp("keras")
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    starts = {"tensorflow": launch, "torch": ()}
    running = {}
    for backend, launcher in starts.items():
        arguments = (
            "-m",
            "tests.helpers.keras_check",
            backend,
            str(digits_shards),
            str(folder / backend),
        )
        running[backend] = subprocess.Popen(
            [keras_python, *launcher, *arguments],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    said = {backend: process.communicate() for backend, process in running.items()}
    for backend, process in running.items():
        assert process.returncode == 0, said[backend][1]
    return {backend: json.loads(lines.splitlines()[-1]) for backend, (lines, _) in said.items()}


def same_steps(found: dict[str, Any]) -> None:
    first, *later = found["torch"]
    assert found["keras"][0] == pytest.approx(first, rel=TOLERANCE)
    assert found["keras"][1:] == pytest.approx(later, rel=STEPS_TOLERANCE)
    assert len(set(found["torch"])) == len(found["torch"])
    assert found["logits"] < TOLERANCE


def test_two_workers_of_tensorflow_step_as_two_ranks_do(checks: dict[str, Any]) -> None:
    first, _, second, _ = checks["tensorflow"]
    same_steps(first)
    same_steps(second)
    # Each rank has its own half of the batch, and hears when it is to stop.
    assert first["torch"] != second["torch"]
    assert first["heard"] == second["heard"] == signal.SIGTERM


def test_keras_on_tensorflow_is_the_same_network(checks: dict[str, Any]) -> None:
    *_, alone = checks["tensorflow"]
    same_steps(alone)


def test_tf_data_gives_the_loader_s_batches(checks: dict[str, Any]) -> None:
    found = checks["tensorflow"][1]
    assert found["same_samples"] and found["largest"] <= 1 and found["mean"] < 0.05


def test_keras_on_torch_is_the_same_network(checks: dict[str, Any]) -> None:
    (found,) = checks["torch"]
    same_steps(found)


def test_frameworks_stand_beside_each_other(
    digits_shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras's environment is this one, without Keras; what a process can't do it says."""
    ours = Virtualenv(versions={"keras": "3"})
    monkeypatch.setattr(frameworks, "prepare_keras", lambda folder: ours)
    arguments = ("--shards", str(digits_shards), "--model", "resnet18", "--global-batch-size", "8")
    arguments += ("--runs", "1", "--warmup", "0", "--seconds", "0.1")
    chosen = ("--frameworks", "pytorch", "--frameworks", "keras", "--optimizer", "adamw")
    result = CliRunner().invoke(main, [*arguments, *chosen])
    assert result.exit_code == 0, result.output
    bundle: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    assert bundle["median"].keys() == {"PyTorch"} and bundle["figures"]["PyTorch"]["first_loss"] > 1
    assert "isn't told --optimizer here" in bundle["absent"]["Keras on TensorFlow"]


def test_the_finding_is_of_runs_that_followed_each_other() -> None:
    rates = {"pytorch": (100.0, 50.0, 50.0), "keras": (50.0, 25.0, 100.0)}
    rows = [Measurement(name=FRAMEWORKS[key].name, values=values) for key, values in rates.items()]
    assert "rate of PyTorch: Keras on TensorFlow 0.50" in str(frameworks.finding(rows))
    assert frameworks.finding(rows[:1]) is None
