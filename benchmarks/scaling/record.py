"""The entries of a result of bench-scaling, besides those of every result
(``benchmarks.measuring.result_file``):

    points              a Point for each world size in each mode, weak and small sizes first
      mode                "weak": each rank's batch size is constant; "strong": the global one is
      world_size, nodes   ranks, and the machines that they ran on
      batch_size          of a rank; global_batch_size: of all ranks
      gradient_bytes      that each rank contributes to the all-reduce of a step
      rungs               name -> Rung, those of RUNGS that were measured
      shares              Parts of the step from warm files, with the sum 1; storage is 0
      cold_shares         Parts of the step from cold files; null where these weren't measured
      share_intervals     part -> [low, high] of `shares`, from the shares of each run
      efficiency          images/s of a rank over those at the baseline, the smallest size of the
                          same mode
      efficiency_interval [low, high], from the efficiency of each run
      losses              Parts with the sum 1 - efficiency: growth of each part since the baseline,
                          as a share of the step; negative for a part that shrank
      limit               the part that limits the step, "compute" if no other does
      sentence            the conclusion, for people
      gates               ValidityCheck: conditions that make the figures reliable
      rank_cores          the cores of each rank; [] for a rank that was not pinned
    model, image_size_px, device, precision, dataset, split_bytes, fits_in_page_cache, settings

`median`, `interval` and `values` of the result are images/s from warm files, with a row for each
point, named ``Point.name``. Seconds are those of one step.
"""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from benchmarks.measuring.entries import from_json
from pipeline.text import plural

WEAK, STRONG = MODES = "weak", "strong"

# The rungs of the stall ladder, from the model without input to cold files, as the table explains
# them.
EXPLANATIONS = {
    "no all-reduce": "one random batch, repeated; ranks exchange no gradients",
    "lockstep": "the same; ranks wait for each other after each step",
    "synthetic": "one random batch, repeated; ranks exchange gradients",
    "one batch": "one batch of the loader, repeated",
    "memory": "the loader, with encoded images in memory",
    "warm files": "the loader, with files in the page cache",
    "cold files": "the loader, with files dropped from the page cache",
    "loader": "the loader without a model, files in the page cache",
}
NO_ALL_REDUCE, LOCKSTEP, SYNTHETIC, ONE_BATCH, MEMORY, WARM, COLD, LOADER = RUNGS = tuple(
    EXPLANATIONS
)
# Names in results that were written before 2026-12.
_EARLIER_NAMES = {"apart": NO_ALL_REDUCE, "in step": LOCKSTEP, "replayed": ONE_BATCH}


def size_name(mode: str, world_size: int) -> str:
    """Name of a world size in a mode, in tables and results."""
    return f"{mode}, {plural(world_size, 'rank')}"


@dataclass(frozen=True, kw_only=True)
class Rung:
    """Figures of one rung, run by run, without the warm-up.

    Attributes:
        step_seconds: duration of a step between the barriers around the lap, on the rank that
            measured the longest.
        rank_seconds: run -> rank -> seconds per step until the rank finished its own work.
        data_seconds: time that a step waited for its batch, mean over ranks; 0 without a loader. It
            includes time in which a GPU still works.
        wait_seconds: time that the ranks of a step waited for the last one, mean over ranks; None
            on rungs other than LOCKSTEP.
        disk_share: bytes read from disks over the bytes of the images, of all ranks; None if
            unknown, and on rungs without files.
        steps: number of steps of a run.
    """

    step_seconds: tuple[float, ...]
    rank_seconds: tuple[tuple[float, ...], ...]
    data_seconds: tuple[float, ...]
    wait_seconds: tuple[float, ...] | None = None
    disk_share: float | None = None
    steps: int

    @property
    def median_seconds(self) -> float:
        return statistics.median(self.step_seconds)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a step, in seconds or as shares; ``stall_ladder.attribute`` computes them.

    Attributes:
        compute: forward, backward and update, mean over ranks.
        waiting: for the slowest rank.
        communication: all-reduce of gradients that does not overlap with computing.
        interference: slowdown of loader and model by each other.
        input: waiting for a loader that is slower than the model.
        storage: additional time with cold files.
    """

    compute: float
    waiting: float
    communication: float
    interference: float
    input: float
    storage: float

    @property
    def total(self) -> float:
        return sum(self.as_dict().values())

    @property
    def shares(self) -> "Parts":
        return self * (1 / self.total)

    def as_dict(self) -> dict[str, float]:
        return asdict(self)

    def __mul__(self, factor: float) -> "Parts":
        return Parts(**{name: factor * value for name, value in self.as_dict().items()})

    def __sub__(self, other: "Parts") -> "Parts":
        less = other.as_dict()
        return Parts(**{name: value - less[name] for name, value in self.as_dict().items()})


PARTS = tuple(field.name for field in fields(Parts))


@dataclass(frozen=True, kw_only=True)
class ValidityCheck:
    """A condition that makes the figures reliable; `sentence` is the evidence."""

    name: str
    holds: bool
    sentence: str


@dataclass(frozen=True, kw_only=True)
class LadderMeasurement:
    """Measurements of one world size in one mode; the top of this module explains the fields."""

    mode: str
    world_size: int
    nodes: int
    batch_size: int
    gradient_bytes: int
    rungs: Mapping[str, Rung]
    rank_cores: tuple[tuple[int, ...], ...]

    @property
    def global_batch_size(self) -> int:
        return self.batch_size * self.world_size

    @property
    def name(self) -> str:
        return size_name(self.mode, self.world_size)

    def rates(self, rung: str = WARM) -> tuple[float, ...]:
        """images/s of the whole world, run by run."""
        return tuple(self.global_batch_size / step for step in self.rungs[rung].step_seconds)

    def images_per_second(self, rung: str = WARM) -> float:
        """Median over the runs, of the whole world."""
        return statistics.median(self.rates(rung))


@dataclass(frozen=True, kw_only=True)
class Point(LadderMeasurement):
    """A measurement with its conclusions, compared with the baseline of its mode."""

    shares: Parts
    cold_shares: Parts | None
    share_intervals: Mapping[str, tuple[float, float]]
    efficiency: float
    efficiency_interval: tuple[float, float]
    losses: Parts
    limit: str
    sentence: str
    checks: tuple[ValidityCheck, ...]

    def to_dict(self) -> dict[str, Any]:
        record = asdict(self) | {"global_batch_size": self.global_batch_size}
        return record | {"gates": record.pop("checks")}


def read_points(bundle: Mapping[str, Any]) -> tuple[Point, ...]:
    """The points of a result of bench-scaling, as ``read_bundle`` returns it."""
    records = from_json(tuple[Mapping[str, Any], ...], bundle.get("points"), "points")
    return tuple(_read_point(record, f"points[{number}]") for number, record in enumerate(records))


def _read_point(record: Mapping[str, Any], where: str) -> Point:
    rungs = from_json(Mapping[str, Any], record.get("rungs"), f"{where}.rungs")
    current = {_EARLIER_NAMES.get(name, name): rung for name, rung in rungs.items()}
    entries = {**record, "rungs": current, "checks": record.get("gates")}
    point: Point = from_json(Point, entries, where)
    from_json(Literal["weak", "strong"], point.mode, f"{where}.mode")
    return point
