"""Sentences of ``tools/shard`` about labels that may not be what they should be."""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.text import join_names, plural
from tools.config import ShardConfig
from tools.download.sources import Sources
from tools.writing.plan import Plan

# Fewer numbers than this are grades or codes more often than measured values.
MEASURED_VALUES = 12


def label_warnings(sources: Sources, plan: Plan, config: ShardConfig) -> Iterator[str]:
    """Sentences about labels, their splits and targets that need a look."""
    resized = config.longest_side is not None or config.shortest_side is not None
    if sources.task == "regression" and resized:
        yield "Resizing does not change the targets: positions in pixels no longer fit the images."
    yield from _similar_classes(plan.classes)
    # An append adds to samples that may show these classes.
    new = "new " if config.append else ""
    yield from _untrained_classes(sources, plan, new)
    yield from _unvalidated_classes(sources, plan, new)
    if sources.task == "classification" and len(plan.classes) >= MEASURED_VALUES:
        yield from _measured_values(plan.classes)


def _measured_values(classes: Sequence[str]) -> Iterator[str]:
    """A sentence about classes that are numbers, and do not count without a gap."""
    if not all(name.replace(".", "", 1).isdecimal() for name in classes):
        return
    values = np.unique(np.array(classes, float))
    if np.any(np.diff(values) != 1):
        yield (
            f"The {len(classes):,} classes are numbers from {values[0]:g} to {values[-1]:g} with "
            f"gaps: each is a class of its own. To learn numbers, pass --task regression."
        )


def _untrained_classes(sources: Sources, plan: Plan, new: str) -> Iterator[str]:
    """A sentence about classes that validation or test have, and training lacks."""
    if sources.task != "classification" or "train" not in plan.bounds:
        return
    first, end = plan.bounds["train"]
    trained = np.bincount(plan.labels[plan.order[first:end]], minlength=len(plan.classes))
    everywhere = plan.labels[plan.labels >= 0]
    counts = np.bincount(everywhere, minlength=len(plan.classes))
    missing = [plan.classes[n] for n in np.flatnonzero((trained == 0) & (counts > 0)).tolist()]
    if missing:
        classes = plural(len(missing), "class")
        yield f"No {new}training sample has {classes}: {join_names(missing)}."


def _unvalidated_classes(sources: Sources, plan: Plan, new: str) -> Iterator[str]:
    """A sentence about classes that training has several times, and validation lacks."""
    if sources.task != "classification" or not {"train", "val"} <= plan.bounds.keys():
        return
    trained, validated = (
        np.bincount(plan.labels[plan.order[slice(*plan.bounds[name])]], minlength=len(plan.classes))
        for name in ("train", "val")
    )
    missing = np.flatnonzero((trained > 1) & (validated == 0)).tolist()
    if missing:
        names = join_names([f"{plan.classes[n]} ({trained[n]:,} in train)" for n in missing])
        advice = " A larger --val gives it more." if plan.choice.is_drawn else ""
        classes = plural(len(missing), "class")
        yield f"No {new}validation sample has {classes}: {names}.{advice}"


def _similar_classes(classes: Sequence[str]) -> Iterator[str]:
    """A sentence about classes whose names differ by case, blanks or punctuation only."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        key = "".join(letter for letter in name.casefold() if letter.isalnum())
        groups.setdefault(key or name, []).append(name)
    if pairs := [names for names in groups.values() if len(names) > 1]:
        shown = "; ".join(" and ".join(map(repr, names[:3])) for names in pairs[:3])
        yield (
            f"Some classes differ by case, blanks or punctuation only: {shown}. If they are one "
            f"class, correct the labels."
        )
