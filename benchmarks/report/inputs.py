"""The inputs of a report: results of benchmarks and the folders of training runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring.entries import errors_of
from benchmarks.measuring.result_file import read_bundle
from benchmarks.report.entries import check_entries
from pipeline.storage.folder_kinds import METRICS_NAME, runs_in
from trainer.plotting.curves import Run, open_runs


@dataclass(frozen=True, kw_only=True)
class Result:
    """A result of a benchmark.

    Attributes:
        path: its file, whose name without the ending is `name`.
        kind: the command that measured.
        bundle: all entries, as ``read_bundle`` returns them.
        median: row -> figure.
        environment: machine, versions and command.
    """

    path: Path
    kind: str
    bundle: Mapping[str, Any]
    median: Mapping[str, float]
    environment: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.stem

    def span(self, row: str) -> tuple[float, float]:
        """The interval of a row's median."""
        low, high = self.bundle["interval"][row]
        return low, high


@dataclass(frozen=True, kw_only=True)
class Inputs:
    results: tuple[Result, ...]
    runs: tuple[Run, ...]

    def last(self, kind: str) -> Result | None:
        """The last of the results of that kind; None without one."""
        return next(reversed(self.all(kind)), None)

    def all(self, kind: str) -> list[Result]:
        return [result for result in self.results if result.kind == kind]


def expand(paths: Sequence[Path]) -> list[Path]:
    """`paths`, with each folder that is not a run replaced by the results and runs in it."""
    expanded = []
    for path in paths:
        is_run = (path / METRICS_NAME).exists()
        inside = [] if is_run else [*sorted(path.glob("*.json")), *runs_in(path)]
        expanded += inside or [path]
    return expanded


def read_inputs(paths: Sequence[Path]) -> Inputs:
    """Read files as results, and folders as runs or as folders of both.

    Raises ``DataError`` for a damaged or edited one.
    """
    paths = expand(paths)
    folders = [path for path in paths if path.is_dir()]
    results = [_read_result(path) for path in paths if not path.is_dir()]
    return Inputs(results=tuple(results), runs=tuple(open_runs(folders) if folders else ()))


def _read_result(path: Path) -> Result:
    bundle = read_bundle(path)
    with errors_of(path):
        check_entries(bundle)
    entries = {name: bundle[name] for name in ("kind", "median", "environment")}
    return Result(path=path, bundle=bundle, **entries)
