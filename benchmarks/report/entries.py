"""The entries of results that the report shows, by the command that wrote them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.loader.config import FULL
from benchmarks.measuring.entries import from_json
from benchmarks.measuring.result_file import (
    BY_STAGE,
    COMPUTE,
    PREDICTION,
    SCALING,
    STUDY,
    SWEEP,
    TRAININGS,
)
from benchmarks.report.study_record import read_configurations
from benchmarks.scaling.record import LOADER, SYNTHETIC, WARM, read_points
from pipeline.errors import DataError
from trainer.tasks.metric_names import METRIC_NAMES

Rows = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Environment:
    cpu: str | None
    cpus: int
    command: str
    time: str
    memory_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class AnyResult:
    benchmark: str
    finding: str
    unit: str
    median: Mapping[str, float]
    interval: Mapping[str, tuple[float, float]]
    spread: Mapping[str, float]
    values: Mapping[str, tuple[float, ...]]
    environment: Environment


@dataclass(frozen=True, kw_only=True)
class Advice:
    fact: str
    advice: str | None


@dataclass(frozen=True, kw_only=True)
class Stages:
    share_of_time: Mapping[str, float]
    threads: int
    findings: tuple[Advice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    sweep: str


@dataclass(frozen=True, kw_only=True)
class Sweep:
    settings: SweepSettings


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    model: str


@dataclass(frozen=True, kw_only=True)
class Utilization:
    mfu: float | None


@dataclass(frozen=True, kw_only=True)
class Compute:
    settings: ModelSettings
    figures: Mapping[str, Utilization]


@dataclass(frozen=True, kw_only=True)
class PredictedSize:
    ranks: int
    limit: str
    efficiency: float
    all_reduce_seconds: float
    exposed_seconds: float


@dataclass(frozen=True, kw_only=True)
class PredictionCheck:
    ranks: int
    fed: bool
    predicted: float
    measured: float
    error: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    predictions: tuple[PredictedSize, ...]
    checks: tuple[PredictionCheck, ...]
    assumptions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Training:
    metric: str
    global_batch_size: int
    seconds: float
    epochs: float
    images_per_second: float
    final: float | None
    best: float | None


@dataclass(frozen=True, kw_only=True)
class Trainings:
    trainings: tuple[Training, ...]


@dataclass(frozen=True, kw_only=True)
class StudyAnswers:
    metric: str
    answers: Mapping[str, str]


_KINDS: Mapping[str, type] = {
    BY_STAGE: Stages,
    SWEEP: Sweep,
    COMPUTE: Compute,
    PREDICTION: Prediction,
    TRAININGS: Trainings,
    STUDY: StudyAnswers,
}


def check_entries(bundle: Mapping[str, Any]) -> None:
    """Raise ``DataError`` for an entry that the report would show and that is missing or of another
    type."""
    common: AnyResult = from_json(AnyResult, bundle)
    if not common.median:
        raise DataError("median has no rows.")
    for row, rate in common.median.items():
        if rate <= 0:
            raise DataError(f"median[{row!r}] must be positive, not {rate}.")
    _require_rows(common.median, {n: getattr(common, n) for n in ("interval", "spread", "values")})
    kind = bundle["kind"]
    entries = from_json(_KINDS[kind], bundle) if kind in _KINDS else None
    if kind == SCALING:
        _check_points(bundle)
    elif isinstance(entries, Stages):
        _require_rows([FULL], {"median": common.median})
        if not entries.share_of_time:
            raise DataError("share_of_time has no rows.")
    elif isinstance(entries, Compute):
        _require_rows(common.median, {"figures": entries.figures})
    elif isinstance(entries, Prediction):
        _require_length("predictions", len(entries.predictions), len(common.median))
    elif isinstance(entries, Trainings):
        _require_length("trainings", len(entries.trainings), len(common.median))
        _require_metric(entries.trainings[0].metric)
    elif isinstance(entries, StudyAnswers):
        _require_metric(entries.metric)
        if not read_configurations(bundle):
            raise DataError("configurations has no rows.")


def _check_points(bundle: Mapping[str, Any]) -> None:
    points = read_points(bundle)
    if not points:
        raise DataError("points has no rows.")
    for number, point in enumerate(points):
        where = f"points[{number}].rungs"
        _require_rows((LOADER, SYNTHETIC, WARM), {where: point.rungs})
        for name, rung in point.rungs.items():
            if not rung.step_seconds or min(rung.step_seconds) <= 0:
                raise DataError(f"{where}[{name!r}].step_seconds must be positive numbers.")


def _require_rows(rows: Any, tables: Mapping[str, Rows]) -> None:
    for name, table in tables.items():
        for row in rows:
            if row not in table:
                raise DataError(f"{name} has no row {row!r}.")


def _require_length(name: str, length: int, rows: int) -> None:
    if length != rows:
        raise DataError(f"{name} must have {rows} rows, as median has, not {length}.")


def _require_metric(name: str) -> None:
    if name not in METRIC_NAMES:
        raise DataError(f"metric must be one of {', '.join(METRIC_NAMES)}, not {name!r}.")
