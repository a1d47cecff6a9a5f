"""A few resolved sources, as a dry run shows them."""

from collections.abc import Iterator

import numpy as np

from tools.download.image_files import ImageFiles
from tools.download.sources import Sources
from tools.writing.plan import Plan

SHOWN_OF_A_SPLIT = 3


def preview(sources: Sources, plan: Plan) -> Iterator[str]:
    """A line each for the first sources of each split, in the order of the download: what named
    it, the file, what it shows, the split."""
    for split, (first, end) in plan.bounds.items():
        for number in np.sort(plan.order[first:end])[:SHOWN_OF_A_SPLIT].tolist():
            place, name = sources.place(number), sources.names[number]
            source = name if place == name else f"{place} -> {name}"
            yield f"  {split}: {source}: {_shown(sources, plan, number)}"


def _shown(sources: Sources, plan: Plan, number: int) -> str:
    if isinstance(sources.masks, ImageFiles):
        return sources.masks.paths[number]
    if sources.targets is None:
        return plan.classes[int(plan.labels[number])]
    row = sources.targets[number].tolist()
    if sources.task == "regression":
        return ", ".join(f"{value:g}" for value in row)
    shown = [name for name, value in zip(plan.classes, row, strict=True) if value]
    return ", ".join(shown) or "none"
