"""The trainings of a study: a trial each, trained once and resumed if interrupted."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report.study_record import TrialResult
from benchmarks.study.config import FRAMEWORKS
from benchmarks.study.parts import Part
from pipeline.errors import DataError
from pipeline.options import flag_of
from pipeline.text import plural
from trainer.run.metrics_reader import read_records
from trainer.run.run_dir import CONFIG_NAME

# Settings that may differ between two starts: paths, and the name of a recipe next to its values.
_FREE = {"out", "resume", "shards", "cache_dir", "threads", "recipe"}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training: a framework, a number of ranks, a part of the samples (None for all that
    --train-samples gives) and a seed; its run is in `directory`."""

    framework: str
    ranks: int
    seed: int
    directory: Path
    part: Part | None = None

    @property
    def configuration(self) -> str:
        """What its seeds have in common."""
        samples = f", {self.part.samples:,} samples" if self.part else ""
        return f"{FRAMEWORKS[self.framework]}, {plural(self.ranks, 'rank')}{samples}"

    def __str__(self) -> str:
        return f"{self.configuration}, seed {self.seed}"


def plan_trials(
    folder: Path,
    frameworks: Sequence[str],
    ranks: Sequence[int],
    seeds: Sequence[int],
    parts: Sequence[Part] = (),
) -> list[Trial]:
    """Seed by seed: an interrupted study has each configuration once before any twice."""
    return [
        Trial(
            framework=framework,
            ranks=count,
            seed=seed,
            directory=folder / "cells" / _folder_name(framework, count, part, seed),
            part=part,
        )
        for seed in seeds
        for framework in frameworks
        for count in ranks
        for part in parts or (None,)
    ]


def _folder_name(framework: str, ranks: int, part: Part | None, seed: int) -> str:
    samples = f"-{part.samples}samples" if part else ""
    return f"{framework}-{ranks}{samples}-seed{seed}"


def is_done(trial: Trial) -> bool:
    """Whether its training ended."""
    with suppress(DataError):
        return bool(read_records(trial.directory)[-1]["kind"] == "summary")
    return False


def check_settings(trial: Trial, settings: Mapping[str, Any], fingerprint: str) -> None:
    """Raise ``DataError`` if the trial was started with other settings, or on shards of another
    fingerprint."""
    try:
        saved = json.loads((trial.directory / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    advice = "give another --out or delete this folder."
    if saved.get("resolved", {}).get("fingerprint") != fingerprint:
        raise DataError(f"{trial.directory} was trained on other shards: {advice}")
    current = json.loads(json.dumps({**settings, "seed": trial.seed}))
    if current.get("interpolation") == "auto":
        # A run records what its weights need.
        del current["interpolation"]
    for name in current.keys() & saved.keys() - _FREE:
        if saved[name] != current[name]:
            raise DataError(
                f"{trial.directory} was trained with {flag_of(name)} {saved[name]}, this study has "
                f"{current[name]}: {advice}"
            )


def read_result(trial: Trial, *, metric: str, target: float | None) -> TrialResult:
    """Read the run of `trial`, whose evaluations have `metric`.

    Raises ``DataError`` if the training has not ended.
    """
    records = read_records(trial.directory)
    summary = records[-1]
    if summary["kind"] != "summary" or summary["total"] is None:
        raise DataError(f"{trial.directory} has no finished training: run bench-study again.")
    total, first = summary["total"], summary["warmup"]
    steady = summary["later_epochs"] or summary["first_epoch"] or total
    start = 0.0
    if steady is not total:
        start = max(0.0, first["seconds"] - first["images"] / steady["images_per_second"])
    waited = total["data_share"] * (total["seconds"] - start)
    scores = [record for record in records if metric in record]
    reached = [r["elapsed_seconds"] for r in scores if target is not None and r[metric] >= target]
    return TrialResult(
        cell=str(trial),
        seconds=summary["elapsed_seconds"],
        start_seconds=start,
        data_seconds=waited,
        compute_seconds=total["seconds"] - start - waited,
        images_per_second=steady["images_per_second"],
        epochs=summary["epoch"],
        score=scores[-1][metric] if scores else None,
        best=max((record[metric] for record in scores), default=None),
        evaluated=scores[-1]["samples"] if scores else 0,
        target_seconds=next(iter(reached), None),
        starts=summary["process"] + 1,
    )
