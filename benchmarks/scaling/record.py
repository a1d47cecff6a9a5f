"""What bench-scaling keeps in its bundle, beside what every bundle
holds (``benchmarks.measuring.result_file``):

    points              a Point for each world size in each mode, weak and smaller ones first
      mode                "weak": the batch of a rank is the same at each size; "strong": the global
                          batch is
      world_size, nodes   ranks, and the machines that they ran on
      batch_size          of a rank; global_batch_size: of all
      gradient_bytes      that each rank gives to the exchange in a step
      rungs               name -> Rung, those of RUNGS that were measured
      shares              Parts of the step from warm files, which add up to 1; storage is 0
      cold_shares         of the step from cold files; null where these weren't measured
      share_intervals     part -> [low, high] of `shares`, from the runs each taken alone
      efficiency          images/s of a rank over those at the baseline, the smallest size
                          of the same mode
      efficiency_interval [low, high], from the runs each taken alone
      losses              Parts that add up to 1 - efficiency: how much more of the step each takes
                          than at the baseline; negative where it takes less
      limit               the part that the step is bound by, "compute" where nothing else is
      sentence            what that means, for people
      gates               Gate: what must hold for the figures to be trusted, and whether it does
      rank_cores          of each rank the cores that it was pinned to; [] where it wasn't
    model, image_size_px, device, precision, dataset, split_bytes, fits_in_page_cache, settings

`median`, `interval` and `values` of the bundle are images/s from warm files, a row for each point,
called ``Point.name``. The machine, versions, command and commit stand in `environment`, once.
Seconds are those of one step. ``read_points`` gives the points of a bundle back.
"""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

WEAK, STRONG = MODES = "weak", "strong"

# The stall ladder, from the model alone to cold files; each is what the trainer's loop takes.
APART, IN_STEP, SYNTHETIC, REPLAYED, MEMORY, WARM, COLD, LOADER = RUNGS = (
    "apart",  # synthetic batches, gradients not exchanged; more than one rank only
    "in step",  # the same, and ranks wait for each other after each step
    "synthetic",  # one random batch on the device, again and again
    "replayed",  # one batch of the loader, again and again
    "memory",  # the whole loader, but that encoded images lie in memory
    "warm files",  # the whole loader, files in the page cache
    "cold files",  # the whole loader, files dropped from it
    "loader",  # the loader alone on all ranks at once, warm files, no model
)


def size_name(mode: str, world_size: int) -> str:
    """As tables and bundles call a world size in a mode."""
    return f"{mode}, {world_size} rank{'s' * (world_size > 1)}"


@dataclass(frozen=True, kw_only=True)
class Rung:
    """Raw figures of one rung, run by run, warm-up dropped.

    Attributes:
        step_seconds: from the barrier that all ranks began at to the one that all had come to, on
            the rank that saw the longest, per step.
        rank_seconds: run -> rank -> seconds per step until the rank was done with its own.
        data_seconds: that a step waited for its batch, mean over ranks; 0 without a loader. Time
            that a GPU still works in counts.
        wait_seconds: that a step's ranks waited for the last of them, mean over ranks; of IN_STEP,
            None of others.
        disk_share: bytes that disks read over those of the images, of all ranks; None where the
            kernel doesn't tell, and of rungs without files.
        steps: of a run.
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
    """Where a step goes, in seconds or in shares of the whole; see ``attribution`` for how each is
    found.

    Attributes:
        compute: forward, backward and update, of the mean rank.
        waiting: for the slowest rank.
        communication: exchanging gradients, as far as nothing is computed meanwhile.
        interference: of the loader with the model where both work at once.
        input: waiting for the loader, since it is slower than the model.
        storage: what cold files add to warm ones.
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
    """Something that must hold for the figures to be trusted; `sentence` says what was found."""

    name: str
    holds: bool
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of one world size in one mode; see the top of this module."""

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
        return tuple(self.global_batch_size / each for each in self.rungs[rung].step_seconds)

    def images_per_second(self, rung: str = WARM) -> float:
        """Of the whole world, in the median run."""
        return statistics.median(self.rates(rung))


@dataclass(frozen=True, kw_only=True)
class Point(Measured):
    """And what follows from it, beside the baseline of its mode."""

    shares: Parts
    cold_shares: Parts | None
    share_intervals: Mapping[str, tuple[float, float]]
    efficiency: float
    efficiency_interval: tuple[float, float]
    losses: Parts
    limit: str
    sentence: str
    gates: tuple[ValidityCheck, ...]

    def as_record(self) -> dict[str, Any]:
        return asdict(self) | {"global_batch_size": self.global_batch_size}


def read_points(bundle: Mapping[str, Any]) -> tuple[Point, ...]:
    """The points of a bundle of bench-scaling, as ``read_bundle`` gives it."""
    return tuple(_point(record) for record in bundle["points"])


def read_measured(record: Mapping[str, Any]) -> Measured:
    """Back from JSON."""
    return Measured(**_measured_values(record))


def _point(record: Mapping[str, Any]) -> Point:
    cold = record["cold_shares"]
    intervals = record["share_intervals"]
    return Point(
        **_measured_values(record),
        shares=Parts(**record["shares"]),
        cold_shares=None if cold is None else Parts(**cold),
        share_intervals={name: (low, high) for name, (low, high) in intervals.items()},
        efficiency=record["efficiency"],
        efficiency_interval=tuple(record["efficiency_interval"]),
        losses=Parts(**record["losses"]),
        limit=record["limit"],
        sentence=record["sentence"],
        gates=tuple(ValidityCheck(**gate) for gate in record["gates"]),
    )


def _measured_values(record: Mapping[str, Any]) -> dict[str, Any]:
    values = {field.name: record[field.name] for field in fields(Measured)}
    return values | {
        "rungs": {name: _rung(rung) for name, rung in record["rungs"].items()},
        "rank_cores": tuple(map(tuple, record["rank_cores"])),
    }


def _rung(record: Mapping[str, Any]) -> Rung:
    waits = record["wait_seconds"]
    return Rung(
        step_seconds=tuple(record["step_seconds"]),
        rank_seconds=tuple(map(tuple, record["rank_seconds"])),
        data_seconds=tuple(record["data_seconds"]),
        wait_seconds=None if waits is None else tuple(waits),
        disk_share=record["disk_share"],
        steps=record["steps"],
    )
