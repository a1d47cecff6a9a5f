"""The loader beside its peers: each in a process of its own, one at a time, on the same images.

All deliver uint8 (``benchmarks.peers.loaders``); who delivers other pixels than the rest is said in
the table, how in its module. A lap's first batches, decoded beforehand, don't count. CPU seconds
are those of all processes of a loader.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks.datasets.photographs import DEFAULT_FOLDER as DATA_FOLDER
from benchmarks.datasets.photographs import FORMATS, prepare_format
from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.config import FROM_ENVIRONMENT, Measuring
from benchmarks.measuring.table import report
from benchmarks.measuring.targets import Target
from benchmarks.measuring.virtualenvs import DEFAULT_FOLDER as ENVIRONMENT_FOLDER
from benchmarks.measuring.virtualenvs import PeerEnvironment, prepare
from benchmarks.measuring.worker_process import exit_on_sigterm
from benchmarks.peers.loader_process import LoaderLap
from benchmarks.peers.loaders.contract import EQUAL, PEERS, Task
from benchmarks.peers.peer_run import Length, PeerRun
from pipeline.errors import DataError, MisuseError
from pipeline.machine import available_cores
from pipeline.options import options, pick_fields, setting

OURS, CEILING = "shardline", "dali-memory"
# Our rate should be so many times theirs; on CPUs also that of the fastest of equal pixels.
BARS = {
    "cpu": {CEILING: 0.97, "webdataset": 1.4, "spdl": 1.4},
    "cuda": {"dali-reader": 0.95, "torch-tensor": 3.0},
}


@dataclass(frozen=True, kw_only=True)
class PeersBenchmark(Measuring):
    src: str = setting(
        "",
        "Folder of photographs; labels are made up.",
        required=True,
        type=click.Path(exists=True, file_okay=False),
    )
    format: str = setting(
        "jpeg",
        "How images are stored: as they are, as JPEG with a shorter side of 256 px, as PNG.",
        type=click.Choice([*FORMATS]),
    )
    peers: tuple[str, ...] = setting(
        (), "Who is measured.  [default: all]", type=(click.Choice([*PEERS]),)
    )
    page_cache: str = setting(
        "warm",
        "cold: before each run the images leave the page cache, and the loader starts anew.",
        type=click.Choice(["warm", "cold"]),
    )
    check: bool = setting(
        False, "Don't measure: check that each delivers an epoch, every image once."
    )
    device: str = setting("cpu", "Where batches are wanted.", type=click.Choice(["cpu", "cuda"]))
    images: int = setting(4800, "Images, repeated.", low=1)
    batch_size: int = setting(64, "Images in a batch.", low=1)
    workers: int | None = setting(
        None, "Threads or processes of each.  [default: every core]", low=1
    )
    runs: int = setting(5, "Runs that count, of each contender.", low=1)
    seconds: float = setting(1.6, "Length of a run.", low=0.01)
    drop_seconds: float = setting(0.7, "What passes of a run before it counts.", low=0)
    data: str = setting(str(DATA_FOLDER), "Where the images are made, once.")
    environment: str = setting(str(ENVIRONMENT_FOLDER), "Where the peers are installed, once.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images < self.batch_size:
            raise MisuseError(
                f"--images {self.images} is less than --batch-size {self.batch_size}."
            )

    @property
    def keys(self) -> list[str]:
        """Of those who take part, in the order of the table."""
        keys = [key for key in PEERS if key in (self.peers or PEERS)]
        return [key for key in keys if self.device == "cpu" or PEERS[key].on_gpu]


@click.command(context_settings=FROM_ENVIRONMENT)
@options(PeersBenchmark)
def main(**values: Any) -> None:
    """Measure the loader beside its peers, alternating."""
    benchmark = pick_fields(PeersBenchmark, values)
    packages = dict.fromkeys(name for key in benchmark.keys for name in PEERS[key].packages)
    environment = prepare(Path(benchmark.environment), list(packages)) if packages else None
    folder = prepare_format(
        Path(benchmark.data), Path(benchmark.src), benchmark.images, benchmark.format
    )
    entrants = [enter(key, folder, benchmark, environment) for key in benchmark.keys]
    if benchmark.check:
        check(entrants)
    else:
        race(entrants, benchmark, environment)


def enter(
    key: str, folder: Path, benchmark: PeersBenchmark, environment: PeerEnvironment | None
) -> PeerRun:
    """The peer, its images stored as it wants them."""
    task = Task(
        folder=folder,
        samples=benchmark.images,
        batch_size=benchmark.batch_size,
        workers=benchmark.workers or available_cores(),
        device=benchmark.device,
        endless=not benchmark.check,
    )
    packages, missing = PEERS[key].packages, environment.missing if environment else {}
    entrant = PeerRun(
        key=key,
        task=task,
        environment=environment if packages else None,
        failure=next((missing[name] for name in packages if name in missing), ""),
    )
    entrant.store()
    return entrant


def check(entrants: Sequence[PeerRun]) -> None:
    """Raises ``DataError`` if a loader that is here delivers something else."""
    here = [entrant for entrant in entrants if not entrant.failure]
    for entrant in entrants:
        entrant.check()
        verdict = entrant.absence or "every image once, uint8, (B, 3, 224, 224)"
        print(f"{entrant.peer.name}: {verdict}", flush=True)
    if wrong := [entrant.peer.name for entrant in here if entrant.failure]:
        raise DataError(f"Other batches than asked for: {', '.join(wrong)}.")


def race(
    entrants: Sequence[PeerRun], benchmark: PeersBenchmark, environment: PeerEnvironment | None
) -> None:
    """Measure and report. Raises ``DataError`` if nobody could be measured."""
    length = Length(drop_seconds=benchmark.drop_seconds, seconds=benchmark.seconds)
    with exit_on_sigterm(), ExitStack() as stack:
        contenders = {
            entrant.peer.name: partial(entrant.cold, length)
            if benchmark.page_cache == "cold"
            else entrant.warm(stack, length)
            for entrant in entrants
        }
        measured = alternate(contenders, runs=benchmark.runs, warmup=benchmark.warmup)
    ran = [entrant for entrant in entrants if not entrant.failure]
    absent = {entrant.peer.name: entrant.absence for entrant in entrants if entrant.failure}
    if not ran:
        raise DataError("; ".join(f"{name}: {why}" for name, why in absent.items()))
    for entrant in ran:
        del entrant.laps[: benchmark.warmup], entrant.cached_shares[: benchmark.warmup]
    rates = {row.name: row for row in measured if row.name not in absent}
    bars = bars_of(ran, rates, benchmark.device)
    report(
        f"{benchmark.format}, {benchmark.page_cache} page cache, {benchmark.device}",
        "images/s",
        list(rates.values()),
        kind="benchmarks.peers",
        facts={
            **summary(ran),
            "bars": [bar.record() for bar in bars],
            "absent": absent,
            "settings": asdict(benchmark),
            "peers": dict(environment.versions) if environment else {},
        },
        columns=columns_of(ran),
        notes=[*map(str, bars), *(f"{name}: {why}" for name, why in absent.items())],
        finding=finding(ran, rates),
        output=benchmark.output,
    )


def bars_of(
    entrants: Sequence[PeerRun], rates: Mapping[str, Measurement], device: str
) -> list[Target]:
    """Of the ratios of runs that followed each other, the median."""
    running = {entrant.key: rates[entrant.peer.name] for entrant in entrants}
    if OURS not in running:
        return []
    bounds = {key: bound for key, bound in BARS[device].items() if key in running}
    if device == "cpu" and (fastest := _fastest(running)):
        bounds = {fastest: 1.0} | bounds
    return [
        Target(of=running[key].name, bound=bound, value=ratio(running[OURS], running[key]).median)
        for key, bound in bounds.items()
    ]


def finding(entrants: Sequence[PeerRun], rates: Mapping[str, Measurement]) -> str | None:
    """The first beside the fastest peer of equal pixels; None, the report's own, without either."""
    running = {entrant.key: rates[entrant.peer.name] for entrant in entrants}
    fastest = _fastest(running)
    if OURS not in running or fastest is None:
        return None
    beside = ratio(running[OURS], running[fastest])
    return (
        f"{running[OURS].name}: {beside.median:.3f} times {running[fastest].name}, the fastest "
        f"peer of equal pixels ({beside.interval.low:.3f} to {beside.interval.high:.3f})."
    )


def _fastest(running: Mapping[str, Measurement]) -> str | None:
    """Of the peers that read and deliver equal pixels."""
    equal = [key for key in running if PEERS[key].pixels == EQUAL and key not in (OURS, CEILING)]
    return max(equal, key=lambda key: running[key].median, default=None)


def summary(entrants: Sequence[PeerRun]) -> dict[str, dict[str, float]]:
    """Medians over the runs, by the peers' names."""

    def median(value: Callable[[LoaderLap], float]) -> dict[str, float]:
        return {each.peer.name: statistics.median(map(value, each.laps)) for each in entrants}

    return {
        "images_per_cpu_second": median(lambda lap: lap.images / lap.cpu_seconds),
        "cores_busy": median(lambda lap: lap.cpu_seconds / lap.seconds),
        "read_bytes_per_image": median(lambda lap: lap.read_bytes / lap.images),
        "cached_share_before": {
            each.peer.name: statistics.median(each.cached_shares)
            for each in entrants
            if each.cached_shares
        },
    }


def columns_of(entrants: Sequence[PeerRun]) -> dict[str, dict[str, str]]:
    found = summary(entrants)
    named = {
        "images/CPU s": ("images_per_cpu_second", "{:,.0f}"),
        "cores": ("cores_busy", "{:.2f}"),
        "cached": ("cached_share_before", "{:.0%}"),
        "bytes read": ("read_bytes_per_image", "{:,.0f}"),
    }
    columns = {
        header: {name: text.format(value) for name, value in found[figure].items()}
        for header, (figure, text) in named.items()
    }
    return columns | {"pixels": {each.peer.name: each.peer.pixels for each in entrants}}


if __name__ == "__main__":
    main()
