"""Outputs of whole batches, masks of tiles, and the order of rows."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import nn

from pipeline.batch import Batch
from pipeline.build import val_loader
from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from tests.helpers.data import make_shards
from tests.helpers.partly_labeled import write_partly_labeled
from trainer.distributed.collectives import World
from trainer.prediction.mask_forms import require_full_size
from trainer.prediction.masks import PixelModel, predict_masks
from trainer.prediction.outputs import predict_outputs
from trainer.prediction.predict_runs import enough_memory
from trainer.prediction.sample_submission import SampleSubmission, order_by_id, require_samples
from trainer.prediction.values import logits_of, values_of
from trainer.tasks.classification import Classification
from trainer.tasks.multi_label import MultiLabel

CPU = torch.device("cpu")
SIDE_PX = 32


class Columns(nn.Module):
    """Outputs the first two columns of the red channel's top row; remembers the batch sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(images))
        return images[:, 0, 0, :2].float()


def batch(first: int, count: int) -> Batch:
    pixels = torch.arange(first, first + count, dtype=torch.uint8).view(-1, 1, 1, 1)
    images = pixels + torch.tensor([0, 10, 40], dtype=torch.uint8).view(1, 1, 1, 3)
    return Batch(images.expand(-1, 3, 2, 3), torch.zeros(count), np.arange(first, first + count))


@pytest.mark.parametrize("flips", [False, True])
def test_batches_are_padded_and_flips_are_averaged(flips: bool) -> None:
    model, counts = Columns(), list[int]()
    outputs = predict_outputs(
        [batch(0, 4), batch(4, 4), batch(8, 1)],
        model,
        World(device=CPU),
        batch_size=4,
        dtype=None,
        flips=flips,
        advance=counts.append,
    )
    assert (set(model.sizes), counts) == ({4}, [4, 4, 1])
    columns = [20.0, 10.0] if flips else [0.0, 10.0]
    assert outputs is not None
    np.testing.assert_array_equal(outputs, np.arange(9)[:, None] + np.array(columns))


class Colors(nn.Module):
    """A class for each color channel."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float() * self.scale


def patches(height: int, width: int, number: int) -> NDArray[np.uint8]:
    """RGB patches of 8 px, each of one color channel."""
    generator = np.random.default_rng(number)
    classes = generator.integers(0, 3, (-(-height // 8), -(-width // 8)))
    pixels = np.eye(3, dtype=np.uint8)[classes] * 200
    return np.ascontiguousarray(pixels.repeat(8, 0).repeat(8, 1)[:height, :width])


@pytest.mark.parametrize("flips", [False, True])
def test_a_mask_is_put_together_from_tiles(flips: bool, tmp_path: Path) -> None:
    """Tiles have the model's size, so that each pixel keeps its class."""
    sizes = [(SIDE_PX, 75), (75, SIDE_PX), (SIDE_PX, SIDE_PX), (SIDE_PX, 200), (33, SIDE_PX)]
    (tmp_path / "images").mkdir()
    for number, (height, width) in enumerate(sizes):
        pixels = patches(height, width, number)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), pixels[..., ::-1])
    write_partly_labeled(tmp_path / "shards", "segmentation")
    shards = make_shards(tmp_path / "images", tmp_path / "new", "--like", str(tmp_path / "shards"))
    dataset = Dataset(shards)
    index = dataset.split("test")
    config = PipelineConfig(image_size=SIDE_PX, threads=1)
    loader = val_loader(dataset, config, batch_size=3, device=CPU, split="test", tiles=True)
    model = PixelModel(model=Colors(), precision="fp32", dtype=None, flips=flips)
    done: list[int] = []
    with loader:
        masks = dict(predict_masks([loader], [model], index, done.append))
    assert done == [1] * len(sizes) and sorted(masks) == [*range(len(sizes))]
    found = {mask.shape: mask for mask in masks.values()}
    for number, size in enumerate(sizes):
        np.testing.assert_array_equal(found[size], patches(*size, number).argmax(2))


def test_too_large_a_batch_is_explained() -> None:
    large = torch.zeros(1)
    with pytest.raises(DataError, match="memory for --batch-size 9: lower it"), enough_memory(9):
        large.expand(2**50).clone()
    with pytest.raises(RuntimeError, match="shape"), enough_memory(9):
        large.view(2)


def test_rows_are_in_natural_order() -> None:
    ids = ["b", "10", "9", "a10", "a9", ""]
    assert [ids[sample] for sample in order_by_id(ids)] == ["", "9", "10", "a9", "a10", "b"]


@given(arrays(np.float32, (3, 4), elements=st.floats(-20, 20, width=32)))
def test_logits_give_the_probabilities_back(outputs: NDArray[np.float32]) -> None:
    names = ("a", "b", "c", "d")
    for task, inverse in (
        (Classification(classes=names), lambda x: x.softmax(1)),
        (MultiLabel(classes=names), torch.sigmoid),
    ):
        values = values_of(task, outputs)
        again = inverse(torch.from_numpy(logits_of(task, values)).double()).numpy()
        np.testing.assert_allclose(again, values, atol=1e-6)


def test_ids_without_a_sample_are_named_unless_their_rows_are_kept() -> None:
    sample = SampleSubmission(
        table="sample.csv",
        columns=("id", "label"),
        cells=(("a", "b", "c"), ("0", "0", "0")),
        id_column=0,
        samples=(0, None, None),
    )
    with pytest.raises(DataError, match="asks for 2 of 3 ids that no sample has: 'b', 'c'"):
        require_samples(sample, keep_missing=False)
    require_samples(sample, keep_missing=True)


def test_run_lengths_of_shrunk_images_are_refused() -> None:
    require_full_size({"arguments": {"longest_side": None, "shortest_side": None}})
    with pytest.raises(DataError, match="shrunk by --shortest-side 64"):
        require_full_size({"arguments": {"longest_side": None, "shortest_side": 64}})
