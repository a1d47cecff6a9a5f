"""The trainings of a study, each a cell: done once, gone on with where it was stopped."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.study import FRAMEWORKS
from pipeline.errors import DataError
from trainer.records import Record, read_records
from trainer.runs import CONFIG_NAME

# The module that torchrun starts.
MODULES = {"pytorch": "trainer", "keras": "benchmarks.keras"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training: of a framework, on so many ranks, from a seed; its run lies in `directory`."""

    framework: str
    ranks: int
    seed: int
    directory: Path

    def __str__(self) -> str:
        ranks = f"{self.ranks} rank{'s' * (self.ranks > 1)}"
        return f"{FRAMEWORKS[self.framework]}, {ranks}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a cell came to.

    Attributes:
        seconds: from the first step to the end, with evaluations and checkpoints.
        epochs: that it reached.
        data_share: share of the steps' time that the rank which waited longest waited for batches.
        top1, best_top1: of the last and of the best evaluation; None without a validation split.
        target_seconds: until the first evaluation that reached the study's target; None without
            one, or where it was never reached.
    """

    cell: Cell
    seconds: float
    epochs: float
    images_per_second: float
    data_share: float
    top1: float | None
    best_top1: float | None
    target_seconds: float | None


def plan_cells(
    folder: Path, frameworks: Sequence[str], ranks: Sequence[int], seeds: Sequence[int]
) -> list[Cell]:
    """Seed by seed, so that a study that is stopped has each configuration once before twice."""
    return [
        Cell(
            framework=framework,
            ranks=size,
            seed=seed,
            directory=folder / "cells" / f"{framework}-{size}-seed{seed}",
        )
        for seed in seeds
        for framework in frameworks
        for size in ranks
    ]


def is_done(cell: Cell) -> bool:
    """Whether its training has come to its end."""
    with suppress(DataError):
        return bool(read_records(cell.directory)[-1]["kind"] == "summary")
    return False


def check_settings(cell: Cell, settings: Mapping[str, Any]) -> None:
    """Raise ``DataError`` if a cell was begun with other settings than the study has now."""
    try:
        saved = json.loads((cell.directory / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for name, value in settings.items():
        stated = json.loads(json.dumps(value))
        if saved.get(name) != stated:
            raise DataError(
                f"{cell.directory} was trained with {name} {saved.get(name)}, this study has "
                f"{stated}: give another --out, or remove that folder."
            )


def read_outcome(cell: Cell, target_top1: float | None) -> Outcome:
    """Raises ``DataError`` where there is no finished run."""
    records = read_records(cell.directory)
    summary = records[-1]
    if summary["kind"] != "summary" or summary["total"] is None:
        raise DataError(f"{cell.directory} holds no finished training: start the study again.")
    scores = [record for record in records if "top1" in record]
    return Outcome(
        cell=cell,
        seconds=summary["elapsed_seconds"],
        epochs=summary["epoch"],
        images_per_second=summary["total"]["images_per_second"],
        data_share=summary["total"]["data_share"],
        top1=scores[-1]["top1"] if scores else None,
        best_top1=max((record["top1"] for record in scores), default=None),
        target_seconds=_reached(scores, target_top1),
    )


def _reached(scores: Sequence[Record], target: float | None) -> float | None:
    if target is None:
        return None
    return next((each["elapsed_seconds"] for each in scores if each["top1"] >= target), None)
