"""Commands to compare: each is measured from its start to its end."""

import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.datasets.run_shard import shard_program
from benchmarks.measuring.alternate import Measurement, alternate
from benchmarks.measuring.targets import Target
from benchmarks.measuring.virtualenvs import Virtualenv
from benchmarks.sharding.process_cost import CommandFailedError, Cost, measure
from pipeline.errors import DataError
from pipeline.text import plural


@dataclass(frozen=True, kw_only=True)
class Download:
    """A download of `amount`, in the unit of the rates. The candidates write to `scratch`, where
    their output is deleted."""

    src: Path
    amount: float
    scratch: Path

    def tool(
        self, *arguments: str, workers: int = 2, duplicates: str = "ignore", name: str = ""
    ) -> "Candidate":
        """``tools/shard`` as a user runs it: plan, checksums and renaming are in its time. By
        default it doesn't look for equal images, since most downloads are made of a few that are
        repeated."""
        command = [str(shard_program()), "--src", str(self.src), *arguments]
        command += ["--duplicates", duplicates]
        return Candidate(
            name=name or f"tools/shard, {plural(workers, 'worker')}",
            download=self,
            command=lambda out: [*command, "--workers", str(workers), "--out", f"{out}/shards"],
            variables=lambda folder: os.environ | {"VIRTUAL_ENV": sys.prefix},
        )

    def bare(self, name: str, work: str, processes: int = 2) -> "Candidate":
        """A program of ``benchmarks.sharding.bare_programs``."""
        ours = Virtualenv()
        module = ours.command("benchmarks.sharding.bare_programs", work, str(self.src))
        return Candidate(
            name=name,
            download=self,
            command=lambda out: [*module, str(out), str(processes)],
            variables=ours.variables,
        )

    def peer(self, name: str, package: str, work: str, virtualenv: Virtualenv) -> "Candidate":
        """A writer of ``benchmarks.sharding.peer_writers``, which may fail."""
        module = ("benchmarks.sharding.peer_writers", package, work, str(self.src))
        return Candidate(
            name=name,
            download=self,
            command=lambda out: virtualenv.command(*module, str(out)),
            variables=virtualenv.variables,
            failure=virtualenv.missing.get(package, ""),
            required=False,
        )


@dataclass(kw_only=True)
class Candidate:
    """A command that writes to an empty folder, and its cost.

    Attributes:
        command, variables: made from the folder for its output, and from one for temporary files.
        failure: why a candidate that is not `required` could not be measured.
        measurement: of its rate, set by ``run_all`` unless it failed.
    """

    name: str
    download: Download
    command: Callable[[Path], Sequence[str]]
    variables: Callable[[Path], Mapping[str, str]]
    required: bool = True
    failure: str = ""
    costs: list[Cost] = field(default_factory=list)
    written_bytes: int = 0
    measurement: Measurement | None = None

    def __call__(self) -> float:
        """Run it once; its rate."""
        if self.failure:
            return math.nan
        try:
            cost = self.run()
        except CommandFailedError as error:
            self.failure = str(error)
            return math.nan
        self.costs.append(cost)
        return self.download.amount / cost.seconds

    def run(self, *, memory: bool = False) -> Cost:
        """Raises ``CommandFailedError``, or ``DataError`` if it is `required`."""
        with tempfile.TemporaryDirectory(dir=self.download.scratch) as name:
            folder = Path(name)
            out = folder / "out"
            out.mkdir()
            try:
                variables = {**self.variables(folder)}
                # Installed programs are compiled once; without its cache each start compiles them.
                variables.pop("PYTHONDONTWRITEBYTECODE", None)
                cost = measure(self.command(out), memory=memory, environment=variables)
            except CommandFailedError as error:
                if self.required:
                    raise DataError(f"{self.name} failed: {error}") from error
                raise
            self.written_bytes = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        # The output must not go to the disk while the next candidate is measured.
        os.sync()
        return cost

    @property
    def median(self) -> float:
        """Median rate."""
        assert self.measurement is not None
        return self.measurement.median

    @property
    def cpu_seconds(self) -> float:
        """Median over the runs, per unit of the download."""
        return statistics.median(cost.cpu_seconds for cost in self.costs) / self.download.amount

    @property
    def work_rate(self) -> float | None:
        """Median rate without the start of Python, which bare programs and peers print."""
        seconds = [_work_seconds(cost.output) for cost in self.costs]
        printed = [value for value in seconds if value is not None]
        return self.download.amount / statistics.median(printed) if printed else None


def run_all(candidates: Sequence[Candidate], runs: int) -> list[Candidate]:
    """Measure the candidates in alternating runs after a warm-up round; those that did not fail."""
    measurements = alternate({each.name: each for each in candidates}, runs=runs)
    for candidate, measurement in zip(candidates, measurements, strict=True):
        candidate.costs = candidate.costs[-runs:]
        candidate.measurement = None if candidate.failure else measurement
    return [candidate for candidate in candidates if candidate.measurement]


def rate_target(bound: float, candidate: Candidate, of: Candidate) -> Target:
    """The rate of `candidate` should be at least `bound` times that of another."""
    return Target(
        of=of.name,
        bound=bound,
        value=candidate.median / of.median,
        strict=None if of.work_rate is None else candidate.median / of.work_rate,
    )


def _work_seconds(output: str) -> float | None:
    for line in output.splitlines():
        if line.startswith('{"work_seconds"'):
            return float(json.loads(line)["work_seconds"])
    return None
