"""train_batch.png shows what the network gets, and changes nothing else."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pipeline.contact_sheet
from pipeline.contact_sheet import ContactSheet
from tests.helpers import tiny_trainer
from tests.helpers.runs import stop_after, train
from trainer.config import Settings
from trainer.run.train_batch import FirstBatch, batch_sheet, target_captions
from trainer.tasks.classification import Classification
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.segmentation import Segmentation
from trainer.train import run
from trainer.training_run import TrainingRun

NAMES = ("cat", "dog", "unicorn")
LONG = "Pneumonia_bacterial_of_the_left_upper_lobe"


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> list[ContactSheet]:
    """The sheets that are written."""
    written: list[ContactSheet] = []
    write = pipeline.contact_sheet.write_contact_sheet

    def record(sheet: ContactSheet, path: Path) -> None:
        written.append(sheet)
        write(sheet, path)

    monkeypatch.setattr(pipeline.contact_sheet, "write_contact_sheet", record)
    return written


@pytest.mark.parametrize(
    ("task", "targets", "captions"),
    [
        (Classification(classes=NAMES), [2, -1], [("unicorn",), ("(no label)",)]),
        (
            Classification(classes=NAMES),
            np.float32([[0.3, 0.7, 0], [0, 0, 1], [0.998, 0, 0.002]]),
            [("dog 70%", "cat 30%"), ("unicorn",), ("cat",)],
        ),
        (
            MultiLabel(classes=NAMES),
            np.float32([[1, 0, 1], [0, 0, 0], [np.nan] * 3]),
            [("cat, unicorn",), ("(none)",), ("(no label)",)],
        ),
        (
            Regression(targets=("age",), means=(0.0,), stds=(1.0,)),
            np.float32([[12.345678], [np.nan]]),
            [("12.35",), ("(no label)",)],
        ),
        (
            Regression(targets=("x", "y"), means=(0.0,) * 2, stds=(1.0,) * 2),
            np.float32([[1, -2.5]]),
            [("x 1", "y -2.5")],
        ),
        (
            Segmentation(classes=NAMES),
            np.uint8([[[0, 1], [2, 255]], [[0, 0], [0, 255]], [[255, 255]] * 2]),
            [("dog, unicorn",), ("only cat",), ("(no label)",)],
        ),
        (Classification(classes=(LONG, "b")), [0], [(LONG,)]),
    ],
)
def test_captions(task: Any, targets: Any, captions: list[tuple[str, ...]]) -> None:
    assert target_captions(np.asarray(targets), task) == captions


def test_masks_are_drawn_over_the_images() -> None:
    images, masks = np.full((2, 4, 4, 3), 90, np.uint8), np.zeros((2, 4, 4), np.uint8)
    masks[1, :2] = 2
    sheet = batch_sheet(images, masks, Segmentation(classes=NAMES), title="", subtitle="")
    plain, colored = (tile.image for tile in sheet.tiles if tile)
    assert plain is not None and colored is not None and list(sheet.legend) == ["dog", "unicorn"]
    assert (plain == 90).all() and (colored[2:] == 90).all() and (colored[:2] != 90).any(-1).all()


def inputs_of(
    shards: Path, out: Path, steps: int = 1, **values: Any
) -> tuple[list[torch.Tensor], TrainingRun]:
    """What the network got in each step of a run, and the run."""
    inputs: list[torch.Tensor] = []
    runs: list[TrainingRun] = []

    def watched(built: TrainingRun) -> TrainingRun:
        built.model.register_forward_pre_hook(lambda _, given: inputs.append(given[0].clone()))
        runs.append(built)
        return built

    settings = Settings.from_options(
        **{"model": tiny_trainer.MODEL, "global_batch_size": 8, "precision": "fp32"} | values,
        epochs=steps * 8 / 1617,
        shards=str(shards),
        out=str(out),
        threads=1,
    )
    run(settings, customize=watched)
    return inputs, runs[0]


@pytest.mark.parametrize("mixed", [{}, {"mixup_alpha": 0.4}, {"cutmix_alpha": 1.0}])
def test_the_images_are_those_that_the_network_gets(
    mixed: dict[str, float], digits_shards: Path, tmp_path: Path, sheets: list[ContactSheet]
) -> None:
    count = 5 if mixed else 100
    inputs, built = inputs_of(
        digits_shards, tmp_path, show_batch=count, color_jitter=0.4, erase_probability=0.5, **mixed
    )
    (sheet,) = sheets
    tiles = [tile for tile in sheet.tiles if tile]
    assert len(tiles) == min(count, 8) and (tmp_path / "train_batch.png").stat().st_size > 10_000
    for tile, image in zip(tiles, inputs[0], strict=False):
        assert np.array_equal(tile.image, image.permute(1, 2, 0))
    shares = [text for tile in tiles for text in tile.caption]
    if mixed:
        assert any(text.endswith("%") for text in shares)
    else:
        index = built.data.train
        assert index is not None
        with built.batches(0, 8) as batches:
            labels = next(iter(batches)).labels.tolist()
        assert shares == [str(label) for label in labels]


def test_weights_and_losses_are_the_same_without_it(digits_shards: Path, tmp_path: Path) -> None:
    states = [
        train(
            digits_shards,
            tmp_path / str(n),
            steps=3,
            show_batch=n,
            mixup_alpha=0.2,
            model=tiny_trainer.MODEL,
        )
        for n in (0, 4)
    ]
    for name, tensor in states[0]["network"].items():
        assert torch.equal(tensor, states[1]["network"][name]), name
    assert states[0]["progress"] == states[1]["progress"]
    assert not (tmp_path / "0" / "train_batch.png").exists()
    assert (tmp_path / "4" / "train_batch.png").exists()


def test_a_resumed_run_draws_it_only_if_it_is_missing(
    digits_shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sheets: list[ContactSheet],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for steps, drawn in ((2, 1), (1, 1)):
        with monkeypatch.context() as patch, pytest.raises(SystemExit):
            stop_after(patch, steps)
            train(digits_shards, tmp_path, show_batch=3, model=tiny_trainer.MODEL)
        assert len(sheets) == drawn
    assert f"The first batch: {tmp_path}/train_batch.png" in capsys.readouterr().out
    (tmp_path / "train_batch.png").unlink()
    train(digits_shards, tmp_path, show_batch=5, model=tiny_trainer.MODEL)
    assert len(sheets) == 2 and "epoch 0.12" in sheets[1].subtitle
    assert [len(sheet.tiles) for sheet in sheets] == [3, 5]


def test_only_rank_0_keeps_a_batch(digits_shards: Path, tmp_path: Path) -> None:
    _, built = inputs_of(digits_shards, tmp_path, show_batch=0)
    log = dataclasses.replace(built.settings.log, show_batch=4)
    wanted = dataclasses.replace(built, settings=dataclasses.replace(built.settings, log=log))
    world = dataclasses.replace(built.world, rank=1)
    for each, draws in ((wanted, True), (dataclasses.replace(wanted, world=world), False)):
        (tmp_path / "train_batch.png").unlink(missing_ok=True)
        first = FirstBatch(each)
        with each.batches(0, 8) as batches:
            assert len(list(first.watch(batches))) == 1
        assert first.draw() is draws and not first.draw()
        assert (tmp_path / "train_batch.png").exists() is draws
