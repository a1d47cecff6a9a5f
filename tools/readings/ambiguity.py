"""The question to ask where several readings remain."""

from collections import Counter
from collections.abc import Callable, Sequence

from pipeline.text import join_names, plural
from tools.readings.reading import Reading

MAX_LINES = 8
_SHOWN_CLASSES = 3


def question(
    readings: Sequence[Reading], outcome_of: Callable[[Reading], tuple[int, tuple[str, ...]]]
) -> str:
    """The message that lists the option of each reading, best first, with its images and classes.

    `outcome_of` collects a reading: the number of labeled images and the classes.
    """
    ranked = sorted(readings, key=_rank)[:MAX_LINES]
    tasks = Counter(reading.task for reading in ranked)
    lines = []
    for reading in ranked:
        images, classes = outcome_of(reading)
        is_task = tasks[reading.task] == 1 and not is_column(reading)
        option = f"--task {reading.task}" if is_task else reading.option
        lines.append(f"\n  {option}: {_describe(reading, images, classes)}")
    hidden = len(readings) - len(ranked)
    more = f"\n{plural(hidden, 'further reading')} less likely." if hidden else ""
    return f"The labels can be read in {len(readings)} ways. Pick one:{''.join(lines)}{more}"


def is_column(reading: Reading) -> bool:
    """Whether the reading is one of several columns of a table."""
    return reading.words[0] == "--label-column"


def _rank(reading: Reading) -> tuple[int, ...]:
    return (-int(reading.is_asked_for), -reading.likelihood, int(reading.kind))


def _describe(reading: Reading, images: int, classes: Sequence[str]) -> str:
    if reading.task == "regression":
        return f"{plural(images, 'image')}, numbers to predict"
    names = join_names(classes, _SHOWN_CLASSES, quote=True)
    masks = " with masks" if reading.task == "segmentation" else ""
    return f"{plural(images, 'image')}{masks}, {plural(len(classes), 'class')} ({names})"
