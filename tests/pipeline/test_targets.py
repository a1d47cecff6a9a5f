"""Multi-label and regression: batches have their targets, the trainer learns them, and options that
need classes are rejected."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.build import train_loader, val_loader
from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.storage.dataset import Dataset
from tests.helpers import tiny_trainer
from tests.helpers.damage import damage
from tests.helpers.data import make_shards
from tests.helpers.processes import lines
from trainer.config import Settings
from trainer.train import run

CPU = torch.device("cpu")
COLUMNS: dict[str, dict[str, Callable[[int], float]]] = {
    "multi-label": {
        "even": lambda digit: int(digit % 2 == 0),
        "loop": lambda digit: int(digit in (0, 6, 8, 9)),
        "large": lambda digit: int(digit > 4),
    },
    "regression": {
        "loops": lambda digit: {0: 1, 6: 1, 8: 2, 9: 1}.get(digit, 0),
        "price": lambda digit: 250_000 + 1000 * int(digit == 0),
    },
}


@pytest.fixture(scope="module", params=COLUMNS)
def shards(
    request: pytest.FixtureRequest, digits_kaggle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The digits with other columns than their label; read-only."""
    folder = tmp_path_factory.mktemp("targets")
    shutil.copytree(digits_kaggle / "train", folder / "kaggle" / "train")
    columns = COLUMNS[request.param]
    with (digits_kaggle / "train.csv").open() as labels:
        rows = [(row["id"], int(row["label"])) for row in csv.DictReader(labels)]
    with (folder / "kaggle" / "train.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", *columns])
        table.writerows([number, *(f(digit) for f in columns.values())] for number, digit in rows)
    arguments = [argument for name in columns for argument in ("--label-column", name)]
    arguments += ["--task", request.param]
    return make_shards(folder / "kaggle", folder / "shards", *arguments)


def test_batches_have_the_stored_targets(shards: Path) -> None:
    dataset = Dataset(shards)
    with train_loader(
        dataset, PipelineConfig(threads=1), global_batch_size=16, device=CPU, end_position=48
    ) as loader:
        for batch in loader:
            assert batch.targets.dtype == torch.float32
            stored = dataset.split("train").targets[batch.samples]
            np.testing.assert_array_equal(batch.targets.numpy(), stored)


def test_bad_samples_of_validation_have_nan_targets(shards: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(shards, tmp_path / "shards"))
    damage(copied, "val", [3, 20])
    config = PipelineConfig(threads=1, max_bad=0.5)
    with val_loader(Dataset(copied), config, batch_size=16, device=CPU) as loader:
        targets = torch.cat([batch.targets for batch in loader])
    assert torch.nonzero(targets.isnan().all(1)).flatten().tolist() == [3, 20]
    assert targets.isnan().sum() == 2 * targets.shape[1]


def test_the_trainer_learns_the_targets(shards: Path, tmp_path: Path) -> None:
    run(
        Settings.from_options(
            shards=str(shards),
            out=str(tmp_path),
            model=tiny_trainer.MODEL,
            precision="fp32",
            epochs=6.0,
            val_every=0,
            optimizer="adamw",
            learning_rate=0.001,
            global_batch_size=64,
            crop_area=(0.8, 1.0),
            flip_probability=0,
        )
    )
    (evaluation,), (summary,) = lines(tmp_path, "evaluation"), lines(tmp_path, "summary")
    # The mean of the training split has an R2 of 0 at most, chance a mAP of 0.5 at most.
    name, least = {"multi-label": ("mean_average_precision", 0.7), "regression": ("r2", 0.15)}[
        Dataset(shards).manifest.task
    ]
    assert evaluation["samples"] == 180
    assert evaluation[name] > least
    assert summary[f"best_{name}"] == evaluation[name]


@pytest.mark.parametrize(
    ("setting", "flag"),
    [
        ({"mixup_alpha": 0.2}, "--mixup-alpha"),
        ({"sample_weights": "inverse-frequency"}, "--sample-weights"),
    ],
)
def test_options_that_need_classes_are_rejected(
    shards: Path, setting: dict[str, Any], flag: str
) -> None:
    config = PipelineConfig(threads=1, **setting)
    with pytest.raises(MisuseError, match=f"{flag}.*stored for (multi-label|regression)"):
        next(iter(train_loader(Dataset(shards), config, global_batch_size=16, device=CPU)))
