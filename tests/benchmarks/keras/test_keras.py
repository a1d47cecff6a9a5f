"""Keras trains the same network as the trainer, with the same weights, on the same batches."""

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

# Of float32: sums in another order.
TOLERANCE = 1e-5
# After several steps, over which rounding errors grow.
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
    """The output of ``keras_check`` for each backend; both run at once, on a core each."""
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
    outputs = {backend: process.communicate() for backend, process in running.items()}
    for backend, process in running.items():
        assert process.returncode == 0, outputs[backend][1]
    return {backend: json.loads(lines.splitlines()[-1]) for backend, (lines, _) in outputs.items()}


def same_steps(figures: dict[str, Any]) -> None:
    first, *later = figures["torch"]
    assert figures["keras"][0] == pytest.approx(first, rel=TOLERANCE)
    assert figures["keras"][1:] == pytest.approx(later, rel=STEPS_TOLERANCE)
    assert len(set(figures["torch"])) == len(figures["torch"])
    assert figures["logits"] < TOLERANCE


def test_two_tensorflow_workers_train_like_two_ranks(checks: dict[str, Any]) -> None:
    first, _, second, _ = checks["tensorflow"]
    same_steps(first)
    same_steps(second)
    # Each rank trains on its half of the batch, and receives the stop signal.
    assert first["torch"] != second["torch"]
    assert first["received"] == second["received"] == signal.SIGTERM


def test_keras_on_tensorflow_is_the_same_network(checks: dict[str, Any]) -> None:
    *_, single = checks["tensorflow"]
    same_steps(single)


def test_tf_data_gives_the_batches_of_the_loader(checks: dict[str, Any]) -> None:
    figures = checks["tensorflow"][1]
    assert figures["same_samples"] and figures["largest"] <= 1 and figures["mean"] < 0.05


def test_keras_on_torch_is_the_same_network(checks: dict[str, Any]) -> None:
    (figures,) = checks["torch"]
    same_steps(figures)


@pytest.mark.long
def test_bench_frameworks_reports_failed_frameworks(
    digits_shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras's virtualenv is this one; its process rejects --optimizer."""
    virtualenv = Virtualenv(versions={"keras": "3"})
    monkeypatch.setattr(frameworks, "prepare_keras", lambda folder: virtualenv)
    arguments = ("--shards", str(digits_shards), "--model", "resnet18", "--global-batch-size", "8")
    arguments += ("--runs", "1", "--warmup", "0", "--seconds", "0.1")
    selected = ("--frameworks", "pytorch", "--frameworks", "keras", "--optimizer", "adamw")
    result = CliRunner().invoke(main, [*arguments, *selected])
    assert result.exit_code == 0, result.output
    bundle: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    assert bundle["median"].keys() == {"PyTorch"} and bundle["figures"]["PyTorch"]["first_loss"] > 1
    assert "--optimizer is not supported with Keras" in bundle["absent"]["Keras on TensorFlow"]


def test_the_finding_compares_runs_of_the_same_round() -> None:
    rates = {"pytorch": (100.0, 50.0, 50.0), "keras": (50.0, 25.0, 100.0)}
    rows = [Measurement(name=FRAMEWORKS[key].name, values=values) for key, values in rates.items()]
    assert "rate of PyTorch: Keras on TensorFlow 0.50" in str(frameworks.find_ratios(rows))
    assert frameworks.find_ratios(rows[:1]) is None
