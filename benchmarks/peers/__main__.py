"""Compare the loader with its peers: one at a time, each in its own process, on the same images.

All deliver uint8 (``benchmarks.peers.loaders``); the table names loaders with other pixels, and
their modules explain the difference. CPU seconds are those of all processes of a loader.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import click

from benchmarks.datasets.photographs import DEFAULT_FOLDER as DATA_FOLDER
from benchmarks.datasets.photographs import FORMATS, prepare_format
from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.config import FROM_ENVIRONMENT, Measuring, runs_setting
from benchmarks.measuring.table import ColumnFormats, by_field, figure_columns, report
from benchmarks.measuring.targets import Target, ratio_target
from benchmarks.measuring.virtualenvs import DEFAULT_FOLDER as VIRTUALENV_FOLDER
from benchmarks.measuring.virtualenvs import Virtualenv, prepare_peers
from benchmarks.measuring.worker_process import exit_on_sigterm
from benchmarks.peers.contract import CEILING, EQUAL, OURS, Task
from benchmarks.peers.loaders import find_peers
from benchmarks.peers.peer_run import PeerRun
from pipeline.console import print_line
from pipeline.errors import DataError, MisuseError
from pipeline.limits.cores import available_cores
from pipeline.options import COUNT, NOT_NEGATIVE, Bounds, Command, options, pick_fields, setting

# Peer -> the multiple of its rate that ours should reach; on CPUs also format -> the multiple of
# the fastest peer's with equal pixels.
TARGETS = {
    "cpu": {CEILING: 0.97, "torch-cv2": 1.05, "ffcv": 1.0},
    "cuda": {"dali-reader": 0.95, "torch-tensor": 3.0},
}
FASTEST = {"jpeg": 1.4, "jpeg256": 1.3, "png": 1.2}
COLUMNS: ColumnFormats = {
    "images_per_cpu_second": ("images/CPU s", 1, ",.0f"),
    "cores_busy": ("cores", 1, ".2f"),
    "cached_share_before": ("cached", 1, ".0%"),
    "read_bytes_per_image": ("bytes read", 1, ",.0f"),
}


@dataclass(frozen=True, kw_only=True)
class PeersBenchmark(Measuring):
    src: str = setting(
        "",
        "Folder of photographs; their labels are made up.",
        required=True,
        type=click.Path(exists=True, file_okay=False),
    )
    format: str = setting(
        "jpeg",
        "jpeg: images as they are; jpeg256: JPEG with a shorter side of 256 px; png: PNG.",
        type=click.Choice(FORMATS),
    )
    peers: tuple[str, ...] = setting(
        (),
        "Loader to measure; can be repeated.  [default: all]",
        type=(click.Choice([*find_peers()]),),
    )
    page_cache: Literal["warm", "cold"] = setting(
        "warm",
        "cold: drop the images from the page cache and restart the loader before each repetition.",
    )
    check: bool = setting(
        False, "Check that each loader delivers every image once an epoch, instead of measuring."
    )
    device: Literal["cpu", "cuda"] = setting("cpu", "Device of the batches.")
    images: int = setting(4800, "Number of images; the photographs are repeated.", COUNT)
    batch_size: int = setting(64, "Images in a batch.", COUNT)
    workers: int | None = setting(
        None, "Threads or processes of each loader.  [default: number of cores]", COUNT
    )
    runs: int = runs_setting(5)
    seconds: float = setting(1.6, "Duration of a repetition.", Bounds(low=0.01))
    drop_seconds: float = setting(
        0.7, "Unmeasured time before each repetition, for prefetched batches.", NOT_NEGATIVE
    )
    data: str = setting(str(DATA_FOLDER), "Folder for the images, which are written once.")
    environment: str = setting(
        str(VIRTUALENV_FOLDER), "Folder for the peers' virtualenv, which is created once."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images < self.batch_size:
            raise MisuseError(
                f"--images {self.images} is less than --batch-size {self.batch_size}."
            )

    @property
    def keys(self) -> list[str]:
        """The peers to measure, in the order of the table."""
        peers = find_peers()
        keys = [key for key in peers if key in (self.peers or peers)]
        return [key for key in keys if self.device == "cpu" or peers[key].on_gpu]


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@options(PeersBenchmark)
def main(**values: Any) -> None:
    """Compare the loader with other loaders in alternating repetitions."""
    benchmark = pick_fields(PeersBenchmark, values)
    packages = dict.fromkeys(name for key in benchmark.keys for name in find_peers()[key].packages)
    virtualenv = Virtualenv()
    if packages:
        virtualenv = prepare_peers(Path(benchmark.environment), list(packages))
    folder = prepare_format(
        Path(benchmark.data), Path(benchmark.src), benchmark.images, benchmark.format
    )
    peer_runs = [prepare_run(key, folder, benchmark, virtualenv) for key in benchmark.keys]
    if benchmark.check:
        check(peer_runs)
    else:
        measure(peer_runs, benchmark, virtualenv)


def prepare_run(
    key: str, folder: Path, benchmark: PeersBenchmark, virtualenv: Virtualenv
) -> PeerRun:
    """The peer, with the images stored in its format."""
    task = Task(
        folder=folder,
        samples=benchmark.images,
        batch_size=benchmark.batch_size,
        workers=benchmark.workers or available_cores(),
        device=benchmark.device,
        endless=not benchmark.check,
    )
    packages = find_peers()[key].packages
    failures = [virtualenv.missing[name] for name in packages if name in virtualenv.missing]
    peer_run = PeerRun(
        key=key,
        task=task,
        virtualenv=virtualenv if packages else Virtualenv(),
        drop_seconds=benchmark.drop_seconds,
        seconds=benchmark.seconds,
        failure=failures[0] if failures else "",
    )
    peer_run.store()
    return peer_run


def check(peer_runs: Sequence[PeerRun]) -> None:
    """Print a verdict for each loader; raise ``DataError`` if one delivers wrong batches."""
    installed = [peer_run for peer_run in peer_runs if not peer_run.failure]
    for peer_run in peer_runs:
        peer_run.check()
        verdict = peer_run.absence or "every image once, uint8, (B, 3, 224, 224)"
        print_line(f"{peer_run.name}: {verdict}")
    if wrong := [peer_run.name for peer_run in installed if peer_run.failure]:
        raise DataError(f"Wrong batches from {', '.join(wrong)}: see above.")


def measure(
    peer_runs: Sequence[PeerRun], benchmark: PeersBenchmark, virtualenv: Virtualenv
) -> None:
    """Measure and report. Raises ``DataError`` if no loader could be measured."""
    with exit_on_sigterm(), ExitStack() as stack:
        is_cold = benchmark.page_cache == "cold"
        candidates = {run.name: run.cold if is_cold else run.warm(stack) for run in peer_runs}
        measurements = alternate(candidates, runs=benchmark.runs, warmup=benchmark.warmup)
    measured = [run for run in peer_runs if not run.failure]
    absent = {run.name: run.absence for run in peer_runs if run.failure}
    if not measured:
        raise DataError("; ".join(f"{name}: {reason}" for name, reason in absent.items()))
    for run in measured:
        del run.laps[: benchmark.warmup], run.cached_shares[: benchmark.warmup]
    rates = {row.name: row for row in measurements if row.name not in absent}
    by_key = {run.key: rates[run.name] for run in measured}
    figures = {run.name: run.figures() for run in measured}
    report(
        f"{benchmark.format}, {benchmark.page_cache} page cache, {benchmark.device}",
        "images/s",
        list(rates.values()),
        kind="benchmarks.peers",
        facts={
            **by_field(figures),
            "settings": asdict(benchmark),
            "peers": dict(virtualenv.versions),
        },
        columns=figure_columns(figures, COLUMNS)
        | {"pixels": {run.name: run.peer.pixels for run in measured}},
        targets=targets_of(by_key, benchmark.device, benchmark.format),
        absent=absent,
        finding=describe_rates(by_key),
        output=benchmark.output,
    )


def targets_of(rates: Mapping[str, Measurement], device: str, format: str) -> list[Target]:
    """The targets of our loader, from the rates of each peer by its key."""
    if OURS not in rates:
        return []
    bounds = {key: bound for key, bound in TARGETS[device].items() if key in rates}
    if device == "cpu" and (fastest := _fastest(rates)):
        bounds = {fastest: FASTEST[format]} | bounds
    return [ratio_target(bound, rates[OURS], rates[key]) for key, bound in bounds.items()]


def describe_rates(rates: Mapping[str, Measurement]) -> str | None:
    """Our loader compared with the fastest peer of equal pixels; None without either."""
    fastest = _fastest(rates)
    if OURS not in rates or fastest is None:
        return None
    times = ratio(rates[OURS], rates[fastest])
    return (
        f"{rates[OURS].name}: {times.median:.3f} times {rates[fastest].name}, the fastest peer of "
        f"equal pixels ({times.interval.low:.3f} to {times.interval.high:.3f})."
    )


def _fastest(rates: Mapping[str, Measurement]) -> str | None:
    """The fastest of the peers that read files and deliver equal pixels."""
    peers = find_peers()
    equal = [key for key in rates if peers[key].pixels == EQUAL and key not in (OURS, CEILING)]
    return max(equal, key=lambda key: rates[key].median, default=None)


if __name__ == "__main__":
    main()
