"""The trainings of a study, each a cell: done once, gone on with where it was stopped."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring.text import counted
from benchmarks.study.config import FRAMEWORKS
from pipeline.errors import DataError
from trainer.run.metrics_reader import Record, read_records
from trainer.run.run_dir import CONFIG_NAME

# The module that torchrun starts.
MODULES = {"pytorch": "trainer", "keras": "benchmarks.keras"}
# What may differ between two starts of a study: places, and a recipe's name beside its values.
_FREE = {"out", "resume", "shards", "cache_dir", "threads", "recipe"}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training: of a framework, on so many ranks, from a seed; its run lies in `directory`."""

    framework: str
    ranks: int
    seed: int
    directory: Path

    def __str__(self) -> str:
        return f"{FRAMEWORKS[self.framework]}, {counted(self.ranks, 'rank')}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a cell came to.

    Attributes:
        seconds: from the first step to the end, with evaluations and checkpoints.
        start_seconds: of those, what each process's first steps took longer than later ones:
            caches fill, TensorFlow traces its graph.
        data_seconds: what the rank that waited longest waited for batches.
        compute_seconds: the rest of the steps, with the exchange of gradients.
        images_per_second: of steps after those first ones.
        epochs: that it reached.
        score, best: the last and the best evaluation's metric; None without a validation split.
        evaluated: samples of an evaluation, 0 without one.
        target_seconds: until the first evaluation that reached the study's target; None without
            one, or where it was never reached.
        starts: processes that it took, more than one where it was stopped.
    """

    cell: Trial
    seconds: float
    start_seconds: float
    data_seconds: float
    compute_seconds: float
    images_per_second: float
    epochs: float
    score: float | None
    best: float | None
    evaluated: int
    target_seconds: float | None
    starts: int


def plan_cells(
    folder: Path, frameworks: Sequence[str], ranks: Sequence[int], seeds: Sequence[int]
) -> list[Trial]:
    """Seed by seed, so that a study that is stopped has each configuration once before twice."""
    return [
        Trial(
            framework=framework,
            ranks=size,
            seed=seed,
            directory=folder / "cells" / f"{framework}-{size}-seed{seed}",
        )
        for seed in seeds
        for framework in frameworks
        for size in ranks
    ]


def is_done(cell: Trial) -> bool:
    """Whether its training has come to its end."""
    with suppress(DataError):
        return bool(read_records(cell.directory)[-1]["kind"] == "summary")
    return False


def check_settings(cell: Trial, settings: Mapping[str, Any], fingerprint: str) -> None:
    """Raise ``DataError`` if a cell was begun with other settings, or on other shards than those of
    `fingerprint`."""
    try:
        saved = json.loads((cell.directory / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    advice = "give another --out, or remove that folder."
    if saved.get("resolved", {}).get("fingerprint") != fingerprint:
        raise DataError(f"{cell.directory} was trained on other shards: {advice}")
    wanted = json.loads(json.dumps({**settings, "seed": cell.seed}))
    for name in wanted.keys() & saved.keys() - _FREE:
        if saved[name] != wanted[name]:
            flag = f"--{name.replace('_', '-')}"
            raise DataError(
                f"{cell.directory} was trained with {flag} {saved[name]}, this study has "
                f"{wanted[name]}: {advice}"
            )


def read_outcome(cell: Trial, *, metric: str, target: float | None) -> Outcome:
    """Of evaluations by `metric`. Raises ``DataError`` where there is no finished run."""
    records = read_records(cell.directory)
    summary = records[-1]
    if summary["kind"] != "summary" or summary["total"] is None:
        raise DataError(f"{cell.directory} holds no finished training: start the study again.")
    total, first = summary["total"], summary["warmup"]
    steady = summary["later_epochs"] or summary["first_epoch"] or total
    start = 0.0
    if steady is not total:
        start = max(0.0, first["seconds"] - first["images"] / steady["images_per_second"])
    waited = total["data_share"] * (total["seconds"] - start)
    scores = [record for record in records if metric in record]
    return Outcome(
        cell=cell,
        seconds=summary["elapsed_seconds"],
        start_seconds=start,
        data_seconds=waited,
        compute_seconds=total["seconds"] - start - waited,
        images_per_second=steady["images_per_second"],
        epochs=summary["epoch"],
        score=scores[-1][metric] if scores else None,
        best=max((record[metric] for record in scores), default=None),
        evaluated=scores[-1]["samples"] if scores else 0,
        target_seconds=_reached(scores, metric, target),
        starts=summary["process"] + 1,
    )


def _reached(scores: Sequence[Record], metric: str, target: float | None) -> float | None:
    if target is None:
        return None
    return next((each["elapsed_seconds"] for each in scores if each[metric] >= target), None)
