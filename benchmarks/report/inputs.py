"""What a report is made of: sealed results and the folders of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring.result_file import KINDS, read_bundle
from pipeline.errors import DataError
from trainer.plotting.curves import Run, open_runs
from trainer.run.metrics_reader import METRICS_NAME


@dataclass(frozen=True, kw_only=True)
class Result:
    """A bundle, by the name of its file; `kind` says which benchmark measured."""

    name: str
    kind: str
    bundle: Mapping[str, Any]

    @property
    def median(self) -> Mapping[str, float]:
        found: Mapping[str, float] = self.bundle["median"]
        return found

    @property
    def environment(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.bundle["environment"]
        return found

    def span(self, row: str) -> tuple[float, float]:
        """The interval of a row's median."""
        low, high = self.bundle["interval"][row]
        return low, high


@dataclass(frozen=True, kw_only=True)
class Inputs:
    results: tuple[Result, ...]
    runs: tuple[Run, ...]

    def last(self, kind: str) -> Result | None:
        """The one that was given last, of several."""
        return next((result for result in reversed(self.results) if result.kind == kind), None)

    def all(self, kind: str) -> list[Result]:
        return [result for result in self.results if result.kind == kind]

    def others(self) -> list[Result]:
        """Those of no kind that the page has a section for."""
        return [result for result in self.results if result.kind not in KINDS]


def expand(paths: Sequence[Path]) -> list[Path]:
    """With what a folder that is no run holds in its place: its results, and the runs in it."""
    found = []
    for path in paths:
        runs = [metrics.parent for metrics in sorted(path.glob(f"*/{METRICS_NAME}"))]
        is_run = (path / METRICS_NAME).exists()
        found += [path] if is_run else [*sorted(path.glob("*.json")), *runs] or [path]
    return found


def read_inputs(paths: Sequence[Path]) -> Inputs:
    """Files are results, folders are runs, or hold both. Raises ``DataError`` for an edited or
    damaged one."""
    paths = expand(paths)
    folders = [path for path in paths if path.is_dir()]
    files = [path for path in paths if not path.is_dir()]
    results = [_read_result(path) for path in files]
    return Inputs(results=tuple(results), runs=tuple(open_runs(folders) if folders else ()))


def _read_result(path: Path) -> Result:
    bundle = read_bundle(path)
    for name in ("benchmark", "finding", "unit", "median", "interval", "environment"):
        if name not in bundle:
            raise DataError(f"{path} doesn't state {name!r}: it is no result that can be shown.")
    return Result(name=path.stem, kind=bundle["kind"], bundle=bundle)
