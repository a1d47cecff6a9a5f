"""Who competes in benchmarks of commands: each is measured whole, from its start to its end."""

import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measuring.alternate import Measurement, alternate
from benchmarks.measuring.provenance import ROOT
from benchmarks.measuring.virtualenvs import PeerEnvironment
from benchmarks.sharding.process_cost import CommandFailedError, Cost, measure
from pipeline.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Download:
    """One download, of `amount` in the unit of the rates; what contenders write lies in `scratch`
    and goes away."""

    src: Path
    amount: float
    scratch: Path

    def tool(self, *arguments: str, workers: int = 2) -> "Candidate":
        """``tools/shard`` as a user runs it: plan, checksums and renaming are in its time."""
        command = [str(ROOT / "tools" / "shard"), "--src", str(self.src), *arguments]
        return Candidate(
            name=f"tools/shard, {workers} worker{'s' * (workers > 1)}",
            race=self,
            command=lambda out: [*command, "--workers", str(workers), "--out", f"{out}/shards"],
            variables=lambda folder: os.environ | {"VIRTUAL_ENV": sys.prefix},
        )

    def bare(self, name: str, work: str, processes: int = 2) -> "Candidate":
        """A work of ``benchmarks.sharding.bare``."""
        module = [sys.executable, "-P", "-m", "benchmarks.sharding.bare", work, str(self.src)]
        return Candidate(
            name=name,
            race=self,
            command=lambda out: [*module, str(out), str(processes)],
            variables=lambda folder: os.environ | {"PYTHONPATH": str(ROOT)},
        )

    def peer(self, name: str, peer: str, work: str, environment: PeerEnvironment) -> "Candidate":
        """A peer of ``peer_writers``; where it can't be measured, the others go on."""
        module = environment.command("benchmarks.sharding.peer_writers", peer, work, str(self.src))
        return Candidate(
            name=name,
            race=self,
            command=lambda out: [*module, str(out)],
            variables=environment.variables,
            failure=environment.missing.get(peer, ""),
            required=False,
        )


@dataclass(kw_only=True)
class Candidate:
    """A command, given an empty folder to write to, and what it took. `failure` says why one that
    is not `required` could not be measured."""

    name: str
    race: Download
    command: Callable[[Path], Sequence[str]]
    variables: Callable[[Path], Mapping[str, str]]
    required: bool = True
    failure: str = ""
    costs: list[Cost] = field(default_factory=list)
    written_bytes: int = 0

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
        return self.race.amount / cost.seconds

    def run(self, *, memory: bool = False) -> Cost:
        """Raises ``CommandFailedError``, or ``DataError`` if it is `required`."""
        with tempfile.TemporaryDirectory(dir=self.race.scratch) as name:
            folder = Path(name)
            out = folder / "out"
            out.mkdir()
            command, variables = self.command(out), self.variables(folder)
            try:
                cost = measure(command, memory=memory, environment=variables)
            except CommandFailedError as error:
                if self.required:
                    raise DataError(f"{self.name} failed: {error}") from error
                raise
            self.written_bytes = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        # What one wrote must not be going to the disk while the next is measured.
        os.sync()
        return cost

    @property
    def cpu_seconds(self) -> float:
        return statistics.median(cost.cpu_seconds for cost in self.costs)

    @property
    def work_rate(self) -> float | None:
        """Median rate of its work alone, which the bare ones and the peers tell."""
        seconds = [_work_seconds(cost.output) for cost in self.costs]
        known = [each for each in seconds if each is not None]
        return self.race.amount / statistics.median(known) if known else None


def run_all(contenders: Sequence[Candidate], runs: int) -> dict[str, Measurement]:
    """Alternate, drop a warm-up round; the rates of those that could be measured."""
    measured = alternate({each.name: each for each in contenders}, runs=runs)
    for each in contenders:
        each.costs = each.costs[-runs:]
    failed = {each.name for each in contenders if each.failure}
    return {each.name: each for each in measured if each.name not in failed}


def _work_seconds(output: str) -> float | None:
    for line in output.splitlines():
        if line.startswith('{"work_seconds"'):
            return float(json.loads(line)["work_seconds"])
    return None
