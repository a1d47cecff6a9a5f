"""Keras trains the network that the trainer would, weight for weight, on the same batches."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import frameworks
from benchmarks.environments import KERAS_FOLDER, KERAS_PACKAGES, PeerEnvironment, installed
from benchmarks.frameworks import FRAMEWORKS, main
from benchmarks.measure import Measurement
from benchmarks.provenance import ROOT

# Of float32's: a loss is a mean of few numbers, the sums in it come in another order.
TOLERANCE = 1e-5
# After steps, which rounding errors grow with.
STEPS_TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def keras_python() -> str:
    """A Python that has TensorFlow and Keras."""
    if find_spec("keras") and find_spec("tensorflow"):
        return sys.executable
    if not set(KERAS_PACKAGES) <= set(installed(KERAS_FOLDER)):
        pytest.skip("needs TensorFlow: run bench-frameworks once, or install .[tensorflow]")
    return str(KERAS_FOLDER / "bin" / "python")


def checked(python: str, backend: str, shards: Path, folder: Path) -> dict[str, Any]:
    command = [python, "-m", "tests.keras_check", backend, str(shards), str(folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def same_steps(found: dict[str, Any]) -> None:
    first, *later = found["torch"]
    assert found["keras"][0] == pytest.approx(first, rel=TOLERANCE)
    assert found["keras"][1:] == pytest.approx(later, rel=STEPS_TOLERANCE)
    assert len(set(found["torch"])) == len(found["torch"])
    assert found["logits"] < TOLERANCE


def test_keras_on_tensorflow_is_the_same_network(
    keras_python: str, digits_shards: Path, tmp_path: Path
) -> None:
    found = checked(keras_python, "tensorflow", digits_shards, tmp_path)
    same_steps(found["steps"])
    assert found["tf.data"]["same_samples"]
    assert found["tf.data"]["largest"] <= 1 and found["tf.data"]["mean"] < 0.05


def test_keras_on_torch_is_the_same_network(
    keras_python: str, digits_shards: Path, tmp_path: Path
) -> None:
    same_steps(checked(keras_python, "torch", digits_shards, tmp_path)["steps"])


def test_frameworks_stand_beside_each_other(
    keras_python: str, digits_shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras's process is PyTorch's here, for the time of a test; one that ends says why."""
    ours = PeerEnvironment(
        folder=Path(keras_python).parents[1], missing={}, versions={"keras": "3"}
    )
    monkeypatch.setattr(frameworks, "prepare_keras", lambda folder: ours)
    arguments = ("--shards", str(digits_shards), "--model", "resnet18", "--global-batch-size", "8")
    arguments += ("--runs", "1", "--warmup", "0", "--seconds", "0.1", "--color-jitter", "0.1")
    chosen = ("--frameworks", "pytorch", "--frameworks", "keras-tf.data")
    result = CliRunner().invoke(main, [*arguments, *chosen])
    assert result.exit_code == 0, result.output
    bundle: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    assert bundle["median"].keys() == {"PyTorch"} and bundle["figures"]["PyTorch"]["first_loss"] > 1
    assert (
        "tf.data is told crops and flips here" in bundle["absent"]["Keras on TensorFlow, tf.data"]
    )


def test_the_finding_is_of_runs_that_followed_each_other() -> None:
    rates = {"pytorch": (100.0, 50.0, 50.0), "keras": (50.0, 25.0, 100.0)}
    rows = [Measurement(name=FRAMEWORKS[key].name, values=values) for key, values in rates.items()]
    assert "rate of PyTorch: Keras on TensorFlow 0.50" in str(frameworks.finding(rows))
    assert frameworks.finding(rows[:1]) is None
