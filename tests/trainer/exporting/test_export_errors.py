"""``python -m trainer.export``: what can't be exported ends in a sentence and leaves no file."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.helpers.exports import exported, failure, trained
from tests.helpers.tiny_trainer import train

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytest.importorskip("safetensors")

OWN = """
import os
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.layer = nn.Linear(3, outputs)

    def forward(self, images):
        logits, kind = self.layer(images.mean((2, 3))), os.environ.get("FORWARD")
        if kind == "branches on values" and images.mean() > 0:
            return -logits
        if kind == "has one size" and images.shape[2:] != (32, 32):
            raise ValueError("another size")
        if kind == "branches on sizes" and len(images) < 3:
            return 2 * logits
        return logits + torch.rand_like(logits) if kind == "draws" else logits

def net(outputs):
    return Net(outputs)
"""


@pytest.fixture(scope="module")
def own(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model whose forward() depends on the environment, and of a run of it."""
    own = tmp_path_factory.mktemp("own")
    (own / "nets.py").write_text(OWN)
    shards = folder / "classification" / "shards"
    options = {"shards": str(shards), "out": str(own / "run"), "global_batch_size": 8}
    options |= {"image_size": 32}
    train(model=f"{own / 'nets.py'}:net", epochs=1.0, **options)
    return own


@pytest.mark.parametrize(
    ("kind", "to", "said"),
    [
        ("branches on values", "onnx", r"can't be exported \(\w+: .*\): give another --to"),
        ("branches on sizes", "torchscript", r"differ by \S+ from those in torch, and only 1e-04"),
        ("draws", "onnx", r"differ by \S+ from those in torch, .* draws numbers"),
    ],
)
def test_what_can_not_be_exported_leaves_no_file(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, to: str, said: str
) -> None:
    monkeypatch.setenv("FORWARD", kind)
    out = tmp_path / "out" / "model"
    words = (own / "run", "--to", to, "--out", out)
    assert "--model nets.py" in failure(2, *words)
    message = failure(1, *words, "--model", own / "nets.py")
    assert re.search(said, message), message
    # Nothing of torch's own.
    assert "nets.py:net" in message and message.startswith("Error: --to ")
    assert list(out.parent.iterdir()) == []


def test_wrong_use_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    run = trained(folder, "regression", "tiny")
    out, checkpoint = tmp_path / "model.onnx", (run / "best.pt").read_bytes()
    out.write_text("mine")
    to = ("--to", "onnx")
    assert f"{out} exists: give --overwrite" in failure(2, run, *to, "--out", out)
    assert out.read_text() == "mine"
    out.unlink()
    out.symlink_to(tmp_path / "elsewhere")
    assert f"{out} exists: give --overwrite" in failure(2, run, *to, "--out", out)
    best = ("--out", run / "best.pt", "--overwrite")
    assert "is the checkpoint to export" in failure(2, run, *to, *best)
    assert (run / "best.pt").read_bytes() == checkpoint
    assert f"--out {tmp_path} is a folder" in failure(2, run, *to, "--out", tmp_path)
    assert "'tflite' is not one of 'onnx', 'torchscript'" in failure(2, run, "--to", "tflite")
    assert "Missing option '--to'" in failure(2, run)
    assert "Give the directory of a run" in failure(2, *to)
    assert "2 runs are given, but a file holds one network" in failure(2, run, tmp_path, *to)
    for option in ("--any-size", "--input=float"):
        assert "has an effect with --to onnx or torchscript only" in failure(
            2, run, "--to", "safetensors", option
        )
    assert "holds no run (config.json" in failure(1, tmp_path, "--to", "torchscript")
    (tmp_path / "run").mkdir()
    shutil.copy(run / "config.json", tmp_path / "run")
    assert "has no checkpoint yet" in failure(1, tmp_path / "run", *to)


def test_a_model_of_one_size_is_named(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARD", "has one size")
    words = (own / "run", "--to", "torchscript", "--model", own / "nets.py")
    assert "nets.py:net takes images of 32 x 32 px only" in failure(2, *words, "--any-size")
    exported(*words)


def test_missing_packages_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained(folder, "regression", "tiny")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    message = failure(2, run, "--to", "onnx", "--overwrite")
    assert "--to onnx needs onnxruntime, which can't be imported: pip install -c" in message
    assert "-e '.[onnx]'" in message


def test_the_weights_alone_of_a_run_with_blurpool(folder: Path) -> None:
    run = trained(folder, "classification", "resnet8", blurpool=True)
    message = failure(1, run, "--to", "safetensors")
    assert "was trained with --blurpool, whose filters resnet8 lacks elsewhere" in message
    assert not (run / "model.safetensors").exists()


def test_random_images_where_the_shards_are_not_there(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained(folder, "regression", "tiny"), run)
    config = json.loads((run / "config.json").read_text())
    for shards, reason in (
        ("gone", "gone"),
        ("http://192.0.2.1/shards", "is not opened by itself"),
    ):
        (run / "config.json").write_text(json.dumps(config | {"shards": shards}))
        (run / "model.torchscript").unlink(missing_ok=True)
        (run / "model.torchscript").symlink_to(tmp_path / "elsewhere")
        line = exported(run, "--to", "torchscript", "--overwrite")
        assert not (tmp_path / "elsewhere").exists()
        assert re.match(f"random images, .*{re.escape(reason)}", line["compared_with"])
