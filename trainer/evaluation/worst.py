"""The samples with the highest losses of an evaluation: which they are, and their pictures."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.arrays import Bytes
from pipeline.batch import Batch
from pipeline.storage.dataset import SplitIndex
from pipeline.storage.manifest import VOID, sample_key
from pipeline.storage.sources import read_source_column
from trainer.evaluation.loop import Predict
from trainer.files import REPEAT
from trainer.run.run_dir import write_rows
from trainer.tasks.scores import Answer, Statistics
from trainer.tasks.tasks import Task

# Samples in the list and in the picture.
WORST_SAMPLES = 24
# Classes of a mask in its text.
_MASK_CLASSES = 3


@dataclass(frozen=True, kw_only=True)
class WorstSample:
    """A sample of an evaluation.

    Attributes:
        row: in the tables of the split's index.
        source: the file or row in the download; "" if the shards don't state it.
    """

    row: int
    answer: Answer
    source: str
    key: str
    shard: str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What the model got of a sample: RGB uint8 (H, W, 3); in segmentation also the classes of the
    true and of the predicted mask, uint8 (H, W)."""

    image: Bytes
    masks: tuple[Bytes, Bytes] | None = None


def worst_samples(task: Task, statistics: Statistics, index: SplitIndex) -> list[WorstSample]:
    """The samples with the highest losses, the highest first and equal ones in the order of the
    index, so they are the same at any number of ranks. A loss that is NaN is the highest.

    Raises ``DataError`` if the sources can't be read.
    """
    losses = task.losses(statistics)
    order = np.argsort(np.where(np.isnan(losses), -np.inf, -losses), kind="stable")
    chosen = statistics.take(order[:WORST_SAMPLES])
    rows = index.samples[chosen.samples]
    sources = read_source_column(index, "source").take(chosen.samples).to_pylist()
    return [
        WorstSample(
            row=number,
            answer=answer,
            source=source or "",
            key=sample_key(int(row["key"])),
            shard=index.split.shards[int(row["shard"])].name,
        )
        for number, answer, source, row in zip(
            chosen.samples.tolist(), task.answers(chosen), sources, rows, strict=True
        )
    ]


def read_pictures(
    batches: Iterable[Batch], predict: Predict | None, *, dtype: torch.dtype | None
) -> Iterator[tuple[int, Picture]]:
    """(row, picture) of each sample of `batches`.

    Args:
        predict: gives the outputs for each pixel, in segmentation.
        dtype: autocast type; None for float32.
    """
    with torch.inference_mode():
        for batch in batches:
            images = batch.images.permute(0, 2, 3, 1).cpu().numpy()
            masks: list[tuple[Bytes, Bytes] | None] = [None] * len(images)
            if predict is not None:
                with torch.autocast(batch.images.device.type, dtype, enabled=dtype is not None):
                    outputs = predict(batch.images)
                predicted = outputs.argmax(1).to(torch.uint8).cpu().numpy()
                masks = list(zip(batch.targets.cpu().numpy(), predicted, strict=True))
            for row, image, pair in zip(batch.samples.tolist(), images, masks, strict=True):
                yield row, Picture(image=image, masks=pair)


def describe_masks(sample: WorstSample, picture: Picture, classes: Sequence[str]) -> WorstSample:
    """The sample with the shares of the classes in its masks as target and prediction."""
    assert picture.masks is not None
    true, _ = picture.masks
    texts = [_mask_text(mask[true != VOID], classes) for mask in picture.masks]
    answer = dataclasses.replace(sample.answer, true=texts[0], predicted=texts[1])
    return dataclasses.replace(sample, answer=answer)


def _mask_text(pixels: Bytes, classes: Sequence[str]) -> str:
    counts = np.bincount(pixels, minlength=len(classes))
    order = np.argsort(-counts, kind="stable")[:_MASK_CLASSES].tolist()
    shares = ((classes[number], counts[number] / len(pixels)) for number in order)
    return ", ".join(f"{name} {share:.0%}" for name, share in shares if share)


def write_worst(path: Path, samples: Sequence[WorstSample]) -> None:
    """Write a CSV of `samples`, without the columns that the task lacks; raises ``DataError`` if it
    can't be written."""
    columns = {
        "loss": [f"{sample.answer.loss:.6g}" for sample in samples],
        "true": [sample.answer.true for sample in samples],
        "predicted": [sample.answer.predicted for sample in samples],
        "tag": [sample.answer.tag for sample in samples],
        "probability": [_share(sample.answer.probability) for sample in samples],
        "source": [sample.source for sample in samples],
        "key": [sample.key for sample in samples],
        "shard": [sample.shard for sample in samples],
    }
    kept = {name: cells for name, cells in columns.items() if any(cells)}
    write_rows(path, [tuple(kept), *zip(*kept.values(), strict=True)], REPEAT)


def _share(probability: float | None) -> str:
    return "" if probability is None else f"{probability:.6f}"
