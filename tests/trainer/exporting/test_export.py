"""``python -m trainer.export``: each format computes what torch does, and says what it is."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.inference import inference_transform
from tests.helpers.exports import TASKS, exported, trained
from tests.helpers.handmade import picture
from tests.helpers.pages import ROOT, blocks
from trainer.exporting.facts import KEY
from trainer.model.build import Classifier
from trainer.tasks.regression import Regression
from trainer.tasks.tasks import Task
from trainer.trained_run import open_run

onnxruntime = pytest.importorskip("onnxruntime")
safetensors = pytest.importorskip("safetensors")
pytest.importorskip("onnxscript")

# What a file computes, and what it says about itself.
Read = tuple[Callable[[torch.Tensor], torch.Tensor], dict[str, Any]]
MODELS = (
    *("timm/test_vit", "timm/test_efficientnet", "timm/convnext_tiny", "timm/efficientnet_b0"),
    "timm/vit_small_patch16_224",
)


@lru_cache
def loaded_run(run: Path) -> tuple[Classifier, Task]:
    opened = open_run(run)
    return opened.load_model(run / "best.pt").eval(), opened.task


@torch.no_grad()
def in_torch(run: Path, images: torch.Tensor) -> torch.Tensor:
    """The outputs of the averaged or plain weights of best.pt, written without the exporter."""
    model, task = loaded_run(run)
    if isinstance(task, Regression):
        return model(images) * torch.tensor(task.stds) + torch.tensor(task.means)
    return model(images)


def of_onnx(path: Path) -> Read:
    session = onnxruntime.InferenceSession(path)
    facts = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    (output,) = session.get_outputs()
    assert output.name == facts["output"]
    return (lambda images: torch.tensor(session.run(None, {"images": images.numpy()})[0])), facts


def of_torchscript(path: Path) -> Read:
    extra = {KEY: ""}
    with pytest.warns(FutureWarning, match="deprecated"):
        network = torch.jit.load(path, _extra_files=extra)  # type: ignore[no-untyped-call]
    return network, json.loads(extra[KEY])


def pictures(count: int, side_px: int = 32) -> torch.Tensor:
    rng = np.random.default_rng(count)
    return torch.tensor(rng.integers(0, 256, (count, 3, side_px, side_px), np.uint8))


def require_names(facts: dict[str, Any], task: str) -> None:
    columns, key = TASKS[task], "targets" if task == "regression" else "classes"
    assert (facts["task"], facts[key]) == (task, list(columns[key]))


def agree(outputs: torch.Tensor, expected: torch.Tensor) -> None:
    largest = float(expected.abs().max())
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-4 * largest)


def test_multi_label(folder: Path) -> None:
    run = trained(folder, "multi-label", "tiny")
    line = exported(run, "--to", "torchscript")
    assert line["compared_with"].startswith("images of the validation split")
    network, facts = of_torchscript(run / "model.torchscript")
    agree(network(pictures(5)), in_torch(run, pictures(5)))
    require_names(facts, "multi-label")
    assert (facts["dtype"], facts["value_range"], facts["weights"]) == (
        "uint8",
        [0, 255],
        "trained",
    )


def test_regression_of_float_images_has_the_units_of_its_targets(folder: Path) -> None:
    run = trained(folder, "regression", "tiny")
    exported(run, "--to", "torchscript", "--input", "float")
    network, facts = of_torchscript(run / "model.torchscript")
    for count in (1, 5):
        agree(network(pictures(count) / 255), in_torch(run, pictures(count)))
    require_names(facts, "regression")
    assert (facts["dtype"], facts["value_range"]) == ("float32", [0, 1])
    assert facts["output"] == "predictions"


@pytest.mark.parametrize(
    ("to", "read"),
    [pytest.param("onnx", of_onnx, marks=pytest.mark.long), ("torchscript", of_torchscript)],
)
def test_segmentation_of_any_size(folder: Path, to: str, read: Callable[[Path], Read]) -> None:
    run = trained(folder, "segmentation", "tiny_pixelwise")
    exported(run, "--to", to, "--any-size")
    network, facts = read(run / f"model.{to}")
    for images in (pictures(1), pictures(5), pictures(3, 57)):
        agree(network(images), in_torch(run, images))
    require_names(facts, "segmentation")
    assert facts["any_size"]


def test_blurpool_is_in_the_trace(folder: Path) -> None:
    run = trained(folder, "classification", "resnet8", blurpool=True)
    exported(run, "--to", "torchscript")
    network, facts = of_torchscript(run / "model.torchscript")
    agree(network(pictures(3)), in_torch(run, pictures(3)))
    assert facts["constructor"] is None


@pytest.mark.parametrize("model", [pytest.param(model, marks=pytest.mark.long) for model in MODELS])
def test_models_of_timm(folder: Path, model: str) -> None:
    timm = pytest.importorskip("timm")
    run = trained(folder, "classification", model, ema_decay=0.5)
    for to, read in (("onnx", of_onnx), ("torchscript", of_torchscript)):
        line = exported(run, "--to", to)
        assert line["weights"] == "averaged" and line["difference"] <= 1e-4
        network, facts = read(run / f"model.{to}")
        for count in (1, 7):
            agree(network(pictures(count)), in_torch(run, pictures(count)))
        assert (facts["model"], facts["checkpoint"]) == (model, "best.pt")
    exported(run / "best.pt", "--to", "safetensors")
    with safetensors.safe_open(run / "model.safetensors", "pt") as file:
        facts = json.loads(file.metadata()[KEY])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    averages = torch.load(run / "best.pt", weights_only=True)["ema"]
    assert weights.keys() == averages.keys()
    assert all(torch.equal(weights[name], averages[name]) for name in averages)
    assert facts["constructor"] == "timm.create_model"
    timm.create_model(**facts["arguments"]).load_state_dict(weights)


WITHOUT_SHARDLINE = """
import json, sys, warnings
warnings.simplefilter("ignore")
packages = ("shardline", "pipeline", "tools", "trainer", "benchmarks", "tests")
sys.modules.update(dict.fromkeys(packages))
parts, names = json.loads(sys.stdin.read()), {}
for part in parts:
    exec(part, names)
    if "logits" in names:
        print(json.dumps(names["logits"].tolist()))
print(json.dumps(names["prepared"]("photo.jpg", names["facts"]).tolist()))
"""


def test_the_page_uses_each_without_shardline(folder: Path, tmp_path: Path) -> None:
    run = trained(folder, "classification", "squeezenet1_1", ema_decay=0.5)
    for to in ("onnx", "torchscript", "safetensors"):
        exported(run, "--to", to, "--out", tmp_path / f"model.{to}")
    photograph = picture(1, 130, 97)
    Image.fromarray(photograph).save(tmp_path / "photo.jpg", quality=95)
    parts = blocks((ROOT / "docs" / "export.md").read_text(), "python")
    codes = [re.findall(r"^(?!import |from )(.+)", part, re.MULTILINE) for part in parts]
    assert len(parts) == 4 and max(map(len, codes)) <= 10
    process = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_SHARDLINE],
        input=json.dumps(parts),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    *lines, prepared = process.stdout.splitlines()
    pixels = torch.tensor(json.loads(prepared), dtype=torch.uint8)
    opened = open_run(run)
    with Image.open(tmp_path / "photo.jpg") as image:
        decoded = torch.tensor(np.asarray(image)).permute(2, 0, 1)
    dataset = opened.open_shards(None)
    validated = inference_transform(dataset.manifest, opened.pipeline).pixels(decoded)
    assert (pixels[0].float() - validated.float()).abs().mean() < 1
    expected = in_torch(run, pixels)
    name = TASKS["classification"]["classes"][int(expected.argmax())]
    assert lines[::2] == [name] * 3
    for line in lines[1::2]:
        agree(torch.tensor(json.loads(line)), expected)
