"""``--class-weights``: the weight of each class in the training loss."""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.arrays import Floats
from pipeline.config import PipelineConfig
from pipeline.errors import DataError, MisuseError
from pipeline.storage.dataset import Dataset, SplitIndex

INVERSE_FREQUENCY = "inverse-frequency"
HEADER = ("class", "weight")


def class_weights(
    option: str, dataset: Dataset | None, train: SplitIndex | None, pipeline: PipelineConfig
) -> tuple[float, ...]:
    """The weights by ``--class-weights``, in the order of the classes; `train` are the samples to
    train on.

    Raises ``MisuseError`` if the task has no such weights or the content of the file is wrong,
    ``DataError`` if it can't be read.
    """
    if dataset is None or train is None:
        raise MisuseError("--class-weights needs shards, but --synthetic has none: remove one.")
    manifest, is_file = dataset.manifest, option != INVERSE_FREQUENCY
    if manifest.task == "regression":
        raise MisuseError(
            "--class-weights needs classes, but these shards are stored for regression: remove it."
        )
    if is_file:
        return read_class_weights(Path(option), manifest.classes, manifest.labels)
    if manifest.task == "segmentation":
        raise MisuseError(
            f"--class-weights {option}: shards of masks do not have the number of pixels of each "
            f"class: give the weights in a file with rows class,weight."
        )
    if pipeline.sample_weights == INVERSE_FREQUENCY:
        raise MisuseError(
            f"--class-weights {option} and --sample-weights {option} would both balance the "
            f"classes: remove one of them."
        )
    if manifest.task == "classification":
        return tuple(balanced(train.class_counts).tolist())
    targets = np.asarray(train.targets[train.rows()])
    return tuple(negatives_per_positive(targets[~np.isnan(targets).any(1)]).tolist())


def balanced(counts: np.ndarray) -> Floats:
    """samples / (classes * samples of the class), scikit-learn's "balanced" (King and Zeng 2001,
    doi:10.1093/oxfordjournals.pan.a004868): 1 on average over the samples. Classes without samples
    have 0 and do not count."""
    occurs = counts > 0
    return np.where(occurs, counts.sum() / (occurs.sum() * np.maximum(counts, 1)), 0.0)


def negatives_per_positive(targets: np.ndarray) -> Floats:
    """Images without each class / images with it, so that both sums of weights are equal, as the
    documentation of torch's BCEWithLogitsLoss has it; 1 for a class that no image has, or all."""
    positives = (targets > 0.5).sum(axis=0)
    negatives = len(targets) - positives
    return np.where(positives * negatives > 0, negatives / np.maximum(positives, 1), 1.0)


def read_class_weights(
    path: Path, classes: Sequence[str], labels: Sequence[str]
) -> tuple[float, ...]:
    """Read a CSV with a row class,weight for each class, by its name or by the download's label.
    The header class,weight may be missing.

    Raises ``MisuseError`` with the row for wrong content, ``DataError`` if it can't be read.
    """
    numbers = {name: number for names in (labels, classes) for number, name in enumerate(names)}
    found: dict[int, float] = {}
    for row, cells in _rows(path):
        where = f"--class-weights {path}, row {row}"
        if len(cells) != 2:
            raise MisuseError(f"{where}: {len(cells)} cells instead of 2, class and weight.")
        name, text = cells
        number = numbers.get(name)
        if number is None:
            raise MisuseError(f"{where}: the shards have no class {name!r}: {_some(classes)}.")
        if number in found:
            raise MisuseError(f"{where}: class {name!r} has a weight already: remove one row.")
        found[number] = _weight(text, where)
    if missing := [name for number, name in enumerate(classes) if number not in found]:
        raise MisuseError(
            f"--class-weights {path}: no row for {len(missing)} of {len(classes)} classes, such as "
            f"{missing[0]!r}: add a row class,weight for each."
        )
    if not any(found.values()):
        raise MisuseError(f"--class-weights {path}: all weights are 0: give one above 0.")
    return tuple(found[number] for number in range(len(classes)))


def _weight(text: str, where: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise MisuseError(f"{where}: the weight {text!r} is not a number of at least 0.")
    return weight


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(number from 1, cells) of each row that is neither empty nor the header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, cells in enumerate(csv.reader(file), start=1):
                row = [cell.strip() for cell in cells]
                is_header = number == 1 and tuple(map(str.lower, row)) == HEADER
                if any(row) and not is_header:
                    yield number, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a CSV in UTF-8"
        raise DataError(
            f"--class-weights {path} can't be read ({reason}): give {INVERSE_FREQUENCY} or a CSV "
            f"with rows class,weight."
        ) from error


def _some(classes: Sequence[str]) -> str:
    more = f" and {len(classes) - 5} more" if len(classes) > 5 else ""
    return f"they have {', '.join(map(repr, classes[:5]))}{more}"
