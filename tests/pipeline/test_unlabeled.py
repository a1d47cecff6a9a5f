"""Loaders over a test split with samples that have no label: no target, and the same images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.batch import Batch
from pipeline.build import train_loader, val_loader
from pipeline.config import PipelineConfig
from pipeline.dali.masks import mask_problem, void_mask
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import TARGET_COMPONENTS, VOID
from tests.helpers.partly_labeled import TESTS, write_partly_labeled

CPU = torch.device("cpu")
UNLABELED = 9


@pytest.fixture(scope="module", params=TARGET_COMPONENTS)
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp(request.param) / "shards"
    write_partly_labeled(out, request.param, unlabeled=UNLABELED)
    return Dataset(out)


def has_target(batch: Batch) -> list[bool]:
    if batch.targets.dtype == torch.int64:
        return (batch.targets >= 0).tolist()
    if batch.targets.dtype == torch.uint8:
        return (batch.targets != VOID).flatten(1).any(1).tolist()
    whole = (~batch.targets.isnan()).all(1)
    torch.testing.assert_close(whole, (~batch.targets.isnan()).any(1))
    return whole.tolist()


def expected(dataset: Dataset) -> list[bool]:
    index = dataset.split("test")
    if index.task == "classification":
        return (index.samples["label"] >= 0).tolist()
    if index.task == "segmentation":
        return (index.masks["size"] > 0).tolist()
    return (~np.isnan(index.targets[:, 0])).tolist()


def test_validation_batches_of_test(dataset: Dataset) -> None:
    config = PipelineConfig(image_size=32, val_resize=32)
    with val_loader(dataset, config, batch_size=6, device=CPU, split="test") as loader:
        batches = list(loader)
    assert [has for batch in batches for has in has_target(batch)] == expected(dataset)
    assert expected(dataset).count(False) == UNLABELED
    assert all(batch.images.float().std() > 10 for batch in batches)
    assert not loader.bad_samples()


def test_training_batches_of_test(dataset: Dataset) -> None:
    config = PipelineConfig(image_size=32, seed=3, auto_augment="trivial")
    with train_loader(
        dataset, config, global_batch_size=8, device=CPU, end_position=2 * TESTS, split="test"
    ) as loader:
        batches = list(loader)
    assert len(batches) == 4
    labeled = np.array(expected(dataset))
    for batch in batches:
        assert has_target(batch) == labeled[batch.samples].tolist()


def test_train_and_val_have_all_targets(dataset: Dataset) -> None:
    config = PipelineConfig(image_size=32, val_resize=32)
    with val_loader(dataset, config, batch_size=6, device=CPU) as loader:
        assert all(all(has_target(batch)) for batch in loader)
    samples = dataset.manifest.splits["train"].samples
    with train_loader(
        dataset, config, global_batch_size=4, device=CPU, end_position=samples
    ) as loader:
        assert all(all(has_target(batch)) for batch in loader)


def test_weights_draw_only_labeled_samples(tmp_path: Path) -> None:
    write_partly_labeled(tmp_path / "shards", unlabeled=UNLABELED)
    config = PipelineConfig(image_size=32, sample_weights="inverse-frequency")
    with train_loader(
        Dataset(tmp_path / "shards"),
        config,
        global_batch_size=8,
        device=CPU,
        end_position=4 * TESTS,
        split="test",
    ) as loader:
        assert all(all(has_target(batch)) for batch in loader)


def test_a_void_mask_is_a_mask_of_its_size() -> None:
    assert mask_problem(void_mask((31, 77)), (31, 77)) is None
