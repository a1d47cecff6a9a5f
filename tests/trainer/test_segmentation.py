"""Segmentation: training, evaluation on any number of ranks, confusion matrix and figure."""

import json
import re
import shutil
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from pipeline.build import val_loader
from pipeline.config import open_dataset
from pipeline.errors import MisuseError
from tests.helpers import tiny_trainer
from tests.helpers.damage import replace_mask
from tests.helpers.data import make_shards
from tests.helpers.processes import exit_codes, lines, start_ranks
from tests.helpers.runs import stop_after
from trainer.__main__ import main
from trainer.distributed.process_group import open_world
from trainer.evaluate import main as evaluate
from trainer.evaluation.evaluate_run import open_run
from trainer.evaluation.loop import collect, with_tta
from trainer.model.build import Segmenter, build_model
from trainer.model.sources.find import find_model
from trainer.model.sources.source import NetworkSpec
from trainer.plot import main as plot
from trainer.tasks.scores import merge

SETTINGS: dict[str, Any] = {
    "model": tiny_trainer.tiny_pixelwise.__name__,
    "global_batch_size": 6,
    "optimizer": "adamw",
    "learning_rate": 0.01,
    "log_every": 2,
    "threads": 1,
    "device": "cpu",
    "precision": "fp32",
    "tta": "flip",
}


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 images of bright and dark discs on noise, and masks of three classes; for reading only."""
    folder, rng = tmp_path_factory.mktemp("discs"), np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / "kaggle" / name).mkdir(parents=True)
    for number in range(60):
        image = rng.integers(90, 160, (48, 48, 3), np.uint8)
        mask = np.zeros((48, 48), np.uint8)
        for value, shade in ((1, 20), (2, 235)):
            center = rng.integers(10, 38, 2).tolist()
            cv2.circle(image, center, 9, (shade,) * 3, -1)
            cv2.circle(mask, center, 9, value, -1)
        cv2.imwrite(str(folder / "kaggle" / "images" / f"{number}.png"), image)
        cv2.imwrite(str(folder / "kaggle" / "masks" / f"{number}.png"), mask)
    rows = "name,r,g,b\nground,0,0,0\ndark,1,1,1\nbright,2,2,2\n"
    (folder / "kaggle" / "class_dict.csv").write_text(rows)
    return make_shards(folder / "kaggle", folder / "shards", "--encode", "keep", "--val", "0.3")


def invoke_ok(command: Any, *arguments: str) -> Any:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def trained(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "discs"
    tiny_trainer.train(shards=str(discs), out=str(out), epochs=8.0, **SETTINGS)
    return out


def test_learns_and_keeps_the_best_checkpoint(trained: Path) -> None:
    evaluations, (summary,) = lines(trained, "evaluation"), lines(trained, "summary")
    # All ground has an IoU of about 0.79 for one class of three, and 0 for the others.
    assert evaluations[0]["mean_iou"] < evaluations[-1]["mean_iou"] > 0.6
    best = max(evaluations, key=lambda line: line["mean_iou"])
    assert summary["best_mean_iou"] == best["mean_iou"]
    assert summary["best_pixel_accuracy"] == best["pixels_correct"] / best["pixels"]
    assert best["pixels"] == best["samples"] * 64 * 64
    kept = torch.load(trained / "best.pt", weights_only=True)["progress"]
    assert kept["best"]["mean_iou"] == best["mean_iou"]
    assert evaluations[-1]["mean_iou_with_flips"] > 0.6


def test_evaluates_each_class_and_draws(trained: Path, tmp_path: Path) -> None:
    result = invoke_ok(evaluate, "--run", str(trained))
    record = json.loads(result.output.splitlines()[-1])
    logged = max(lines(trained, "evaluation"), key=lambda line: line["mean_iou"])
    named = ("samples", "pixels", "pixels_correct", "mean_iou", "pixel_accuracy")
    for name in (*named, "mean_iou_with_flips"):
        assert record[name] == logged[name]
    assert list(record["by_name"]) == ["ground", "dark", "bright"]
    assert sum(record["by_name"].values()) / 3 == pytest.approx(record["mean_iou"])
    assert "mIoU" in result.output
    assert cv2.imread(str(trained / "confusion.png")) is not None
    invoke_ok(plot, str(trained), "--out", str(tmp_path / "run.svg"))
    assert "Best mIoU: " in (tmp_path / "run.svg").read_text()


def test_any_number_of_ranks_gives_the_same_evaluation(trained: Path) -> None:
    evaluations, run = [], open_run(trained)
    model = run.load_model(run.checkpoint("checkpoint.pt")).eval()
    predict, statistics = with_tta(model, run.task, flips=False)
    with open_world("cpu") as world:
        for world_size in (1, 2, 3):
            parts = []
            for rank in range(world_size):
                batches = val_loader(
                    open_dataset(run.pipeline),
                    run.pipeline,
                    batch_size=6 // world_size,
                    device=world.device,
                    rank=rank,
                    world_size=world_size,
                )
                own = collect(batches, predict, world, statistics)
                assert own is not None
                parts.append(own)
            evaluation = run.task.compute(merge(parts))
            evaluations.append((evaluation.counts, evaluation.metrics, evaluation.by_name))
    assert evaluations[0] == evaluations[1] == evaluations[2]


def test_two_ranks_train_like_one(
    discs: Path, trained: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    settings = SETTINGS | {"shards": str(discs), "epochs": 8.0}
    out = tmp_path / "run"
    ranks = start_ranks(loaded, 2, out=str(out), **settings)
    assert exit_codes(ranks) == [0, 0]
    for kind in ("train", "evaluation"):
        one_rank, two_ranks = (
            [line["loss"] for line in lines(run, kind)] for run in (trained, out)
        )
        assert two_ranks[:4] == pytest.approx(one_rank[:4], rel=1e-4)


def test_resumes_bitwise_with_a_damaged_mask(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = Path(shutil.copytree(discs, tmp_path / "shards"))
    replace_mask(shards, "train", 5, b"no mask", stated=False)

    def train(name: str) -> dict[str, Any]:
        out = tmp_path / name
        tiny_trainer.train(shards=str(shards), out=str(out), epochs=2.0, max_bad=0.1, **SETTINGS)
        assert "its mask" in (out / "bad_samples.csv").read_text()
        assert lines(out, "train")[-1]["bad_samples"] == 1
        weights: dict[str, Any] = torch.load(out / "checkpoint.pt", weights_only=True)["network"]
        return weights

    whole = train("whole")
    stop_after(monkeypatch, 4)
    with pytest.raises(SystemExit):
        train("stopped")
    monkeypatch.undo()
    stopped = train("stopped")
    assert all(torch.equal(tensor, stopped[name]) for name, tensor in whole.items())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--model", "resnet50"), "not a segmentation model, but these shards hold masks: .*fcn_r"),
        (("--model", "fcn_resnet51"), "fcn_resnet51: no such segmentation model.*fcn_resnet50"),
        (("--model", "tiny_pixelwise", "--target-top1", "0.9"), "--target-top1 needs a classif"),
        (("--model", "tiny_pixelwise", "--mixup-alpha", "0.2"), "stored for segmentation"),
        (("--model", "tiny_pixelwise", "--cache", "host"), "--cache host does not cache masks"),
    ],
)
def test_rejects_invalid_options(
    discs: Path, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    directories = ("--shards", str(discs), "--out", str(tmp_path / "run"))
    result = CliRunner().invoke(main, [*directories, *arguments])
    assert result.exit_code == 2, result.output
    output = " ".join(result.output.split())
    assert re.search(sentence, output), output


@pytest.mark.parametrize(
    ("name", "heads"),
    [("lraspp_mobilenet_v3_large", 1), ("fcn_resnet50", 2), ("deeplabv3_resnet50", 2)],
)
def test_torchvision_segmentation_models_have_logits_per_pixel(name: str, heads: int) -> None:
    spec = NetworkSpec(classes=5, image_size_px=64, pixelwise=True)
    model = build_model(find_model(name), spec, mean=(0.5,) * 3, std=(0.2,) * 3, seed=0)
    assert isinstance(model, Segmenter)
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    shape = (5, 64, 64) if heads == 1 else (heads, 5, 64, 64)
    assert model(images).shape == (2, *shape)
    assert model.eval()(images).shape == (2, 5, 64, 64)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {module.momentum for module in norms} == {0.1}


def test_rejects_a_segmentation_model_without_masks() -> None:
    with pytest.raises(
        MisuseError, match="not a classification model, but these shards hold no masks"
    ):
        find_model("fcn_resnet50").build(NetworkSpec(classes=5, image_size_px=64))
