"""Models of timm, torchvision and of one's own train, resume, are evaluated and predict, on one
rank and on two."""

import json
import re
import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import DataError, MisuseError
from tests.helpers.cli import invoke
from tests.helpers.pages import ROOT
from tests.helpers.processes import exit_codes, lines, start_ranks
from tests.helpers.runs import saved, stop_after, train
from trainer.evaluate import main as evaluate
from trainer.files import MODEL_FILE_NAME
from trainer.predict import main as predict
from trainer.recipes import RECIPES

# The first 2 steps train the head alone.
OPTIONS: dict[str, Any] = {
    "optimizer": "adamw",
    "learning_rate": 0.01,
    "ema_decay": 0.5,
    "layer_decay": 0.7,
    "freeze_backbone_epochs": 0.07,
    "loss": "bce",
    "threads": 1,
}
PATHS = {"drop_path": 0.2}
# Two ranks drop other paths than one, and batch norms take the statistics of each rank's images:
# only a model without both ends with the same weights.
MODELS: dict[str, dict[str, Any]] = {
    "timm/test_vit": {},
    "timm/test_efficientnet": PATHS,
    "shufflenet_v2_x0_5": {},
    "timm/convnext_tiny": {},
    "timm/efficientnet_b0": PATHS,
    "timm/vit_small_patch16_224": PATHS,
}
COMPARED = ("timm/test_vit", "timm/convnext_tiny")
QUICK = ("timm/test_vit",)
CASES = [
    pytest.param(model, id=model, marks=() if model in QUICK else pytest.mark.long)
    for model in MODELS
]


def evaluated(*arguments: object) -> dict[str, Any]:
    """The last line of trainer.evaluate."""
    result = invoke(evaluate, *arguments)
    assert result.exit_code == 0, result.output
    facts: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    return facts


def predicted(out: Path, *arguments: object) -> int:
    """Number of rows that trainer.predict writes."""
    options = ("--split", "val", "--format", "probabilities", "--out", out)
    result = invoke(predict, *arguments, *options)
    assert result.exit_code == 0, result.output
    return len(out.read_text().splitlines()) - 1


@pytest.mark.parametrize("model", CASES)
def test_stops_resumes_on_two_ranks_is_evaluated_and_predicts(
    digits_shards: Path,
    tmp_path: Path,
    loaded: ForkServerContext,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
) -> None:
    if model.startswith("timm/"):
        pytest.importorskip("timm")
    options = {"model": model, "steps": 4, **OPTIONS, **MODELS[model]}
    out = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        stop_after(patch, 3)
        train(digits_shards, out, **options)
    assert stopped.value.code == 128 + signal.SIGTERM
    settings = {name: value for name, value in saved(out)["config"].items() if name != "resolved"}
    assert exit_codes(start_ranks(loaded, 2, **settings)) == [0, 0]
    both = saved(out)
    assert both["progress"]["position"] == 4 * 64
    if model in COMPARED:
        alone = train(digits_shards, tmp_path / "alone", **options)
        for part in ("network", "ema"):
            for name, tensor in both[part].items():
                torch.testing.assert_close(tensor, alone[part][name], rtol=0, atol=1e-4)
    (logged,) = lines(out, "evaluation")
    facts = evaluated(out)
    assert facts["loss"] == pytest.approx(logged["loss"], rel=1e-3)
    assert predicted(tmp_path / "out.csv", out) == facts["samples"] == 180


def test_published_weights_of_timm_are_fine_tuned(
    digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timm = pytest.importorskip("timm")
    config = timm.models.get_pretrained_cfg("test_vit")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    weights = tmp_path / "torch" / "hub" / "checkpoints" / f"test_vit.{config.tag}.safetensors"
    weights.parent.mkdir(parents=True)
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(timm.create_model("test_vit").state_dict(), weights)
    options = {name: RECIPES["finetune"][name] for name in ("pretrained", "optimizer", "ema_decay")}
    train(digits_shards, tmp_path / "run", steps=1, model="timm/test_vit", threads=1, **options)
    weights.unlink()
    facts = json.loads((tmp_path / "run" / "config.json").read_text())
    assert facts["resolved"]["mean"] == list(config.mean)
    assert facts["resolved"]["weights_input"]["image_size_px"] == 160
    assert facts["interpolation"] == config.interpolation
    assert evaluated(tmp_path / "run")["samples"] == 180


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The model that the page of the trainer shows."""
    page = (ROOT / "docs" / "training.md").read_text()
    (text,) = re.findall(r"In `nets\.py`:\n\n((?:    .*\n|\n)+)", page)
    lines_of_file = [line.removeprefix("    ") for line in text.splitlines()]
    assert len([line for line in lines_of_file if line]) <= 10
    (tmp_path / "nets.py").write_text("\n".join(lines_of_file))
    monkeypatch.chdir(tmp_path)
    return "nets.py:small"


def test_a_model_of_ones_own_is_stored_resumes_and_is_loaded_if_it_is_trusted(
    digits_shards: Path, tmp_path: Path, own: str
) -> None:
    out = tmp_path / "run"
    train(digits_shards, out, model=own, steps=2, freeze_backbone_epochs=0.01)
    assert (out / MODEL_FILE_NAME).read_bytes() == (tmp_path / "nets.py").read_bytes()
    record = json.loads((out / "config.json").read_text())["resolved"]["model_file"]
    assert (record["file"], record["function"]) == ("nets.py", "small")
    refused = invoke(evaluate, out)
    assert refused.exit_code == 2
    assert "give the file by --model nets.py, or --trust-model" in " ".join(refused.output.split())
    (tmp_path / "nets.py").rename(tmp_path / "moved.py")
    assert predicted(tmp_path / "out.csv", out, "--model", "moved.py") == 180
    state = train(digits_shards, out, model="moved.py:small", steps=3)
    assert state["progress"]["position"] == 3 * 64
    with (tmp_path / "moved.py").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(DataError, match=r"with another model, FILE\.py:small, the .* --model"):
        train(digits_shards, out, model="moved.py:small", steps=4)
    assert evaluated(out, "--trust-model")["samples"] == 180


def test_needs_a_last_layer_to_freeze_the_others(digits_shards: Path, tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n\n\ndef fixed(outputs):\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))\n"
    )
    model = f"{tmp_path / 'nets.py'}:fixed"
    with pytest.raises(MisuseError, match=r"--freeze-backbone-epochs: no layer of .* depends on"):
        train(digits_shards, tmp_path / "run", model=model, freeze_backbone_epochs=1.0)
    with pytest.raises(MisuseError, match=r"order of the layers of .* is unknown"):
        train(digits_shards, tmp_path / "run", model=model, layer_decay=0.5)
    with pytest.raises(MisuseError, match=r"--drop-path: .* sets its paths itself"):
        train(digits_shards, tmp_path / "run", model=model, drop_path=0.5)
    with pytest.raises(MisuseError, match=r"there are no such weights for .*: give a file or"):
        train(digits_shards, tmp_path / "run", model=model, pretrained="imagenet")
