"""Predict masks, and write them as PNG files or as run lengths."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.loader import Loader
from trainer.distributed.collectives import World
from trainer.files import replaced
from trainer.prediction.files import write_csv
from trainer.prediction.job import Job
from trainer.prediction.mask_forms import MaskForm
from trainer.prediction.masks import PixelModel, predict_masks
from trainer.prediction.run_lengths import run_lengths
from trainer.prediction.sample_submission import SampleSubmission, order_by_id
from trainer.prediction.submission_form import Names
from trainer.prediction.tables import PredictionTable

# Letters of a name: at most 4 bytes each, and file systems allow 255 bytes.
LONGEST_NAME = 50

Mask = NDArray[np.uint8]
# (sample, class) -> run lengths.
RunLengths = Mapping[tuple[int, int], str]


def mask_file_names(ids: Sequence[str]) -> list[str]:
    """A plain file name for each id, without repetition: letters, digits, "_", "-" and "." stay,
    and at most LONGEST_NAME of them."""
    names: dict[str, None] = {}
    for text in ids:
        plain = re.sub(r"[^\w.-]+", "_", text).lstrip(".")[:LONGEST_NAME] or "image"
        choices = itertools.chain([plain], (f"{plain}-{number}" for number in itertools.count(2)))
        names[next(name for name in choices if name not in names)] = None
    return [f"{name}.png" for name in names]


def write_mask(path: Path, mask: Mask) -> None:
    """Write a mask, uint8 (H, W) of class numbers, as a gray PNG."""
    encoded, data = cv2.imencode(".png", mask)
    assert encoded
    with replaced(path) as partial:
        partial.write_bytes(data.tobytes())


def predict_and_write_masks(
    job: Job,
    loaders: Sequence[Loader],
    models: Sequence[PixelModel],
    world: World,
    advance: Callable[[int], None],
) -> None:
    """Predict the masks of this rank's samples. Each rank writes its own PNG files; rank 0 writes
    the run lengths of all."""
    rows = job.index.rows()
    masks = (
        (int(np.searchsorted(rows, row)), mask)
        for row, mask in predict_masks(loaders, models, job.index, advance)
    )
    if job.format == "masks":
        names = mask_file_names(job.ids)
        for sample, mask in masks:
            write_mask(job.out / names[sample], mask)
        world.barrier()
        return
    positive = [job.names.positive_index()]
    several = len(job.names.classes) > 2 and job.names.positive is None
    classes = list(range(len(job.names.classes))) if several else positive
    if job.mask_form is not None:
        classes = job.mask_form.classes(job.names)
    lengths = dict(world.all_gather_objects([*class_run_lengths(masks, classes)]))
    if world.rank > 0:
        return
    if job.sample is not None and job.mask_form is not None:
        table = mask_submission(job.sample, job.mask_form, job.names, lengths)
    else:
        table = run_length_table(job.names, job.ids, lengths, classes)
    write_csv(job.out, table.header, table.rows)


def class_run_lengths(
    masks: Iterable[tuple[int, Mask]], classes: Sequence[int]
) -> Iterator[tuple[tuple[int, int], str]]:
    """((sample, class), run lengths) of each of `classes` in each mask."""
    for sample, mask in masks:
        for number in classes:
            yield (sample, number), run_lengths(mask == number)


def mask_submission(
    sample: SampleSubmission, form: MaskForm, names: Names, lengths: RunLengths
) -> PredictionTable:
    """A row for each row of the sample submission, with run lengths; rows whose id no sample has
    stay as they are."""

    def rows() -> Iterator[tuple[str, ...]]:
        for row, cells in zip(sample.samples, zip(*sample.cells, strict=True), strict=True):
            if row is None:
                yield cells
                continue
            number = form.only if form.kind is None else names.index(cells[form.kind])
            assert number is not None
            filled = list(cells)
            filled[form.value] = lengths[row, number]
            yield tuple(filled)

    return PredictionTable(header=sample.columns, rows=rows())


def run_length_table(
    names: Names, ids: Sequence[str], lengths: RunLengths, classes: Sequence[int]
) -> PredictionTable:
    """id and run lengths of one class, or a row for each of several `classes` of each sample."""
    several = len(classes) > 1
    rows = (
        (ids[sample], *([names.classes[number]] if several else []), lengths[sample, number])
        for sample in order_by_id(ids).tolist()
        for number in classes
    )
    return PredictionTable(header=("id", "class", "rle") if several else ("id", "rle"), rows=rows)
