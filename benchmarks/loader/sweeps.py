"""bench-loader --sweep: the full loader at several values of one setting, alternating."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.datasets.reencoded import shards_by_format
from benchmarks.loader.config import LoaderBenchmark
from benchmarks.loader.setup import Setup, open_setup
from benchmarks.loader.time_plan import measure
from benchmarks.loader.timed_batches import TimedBatches
from benchmarks.measuring.alternate import Measurement, ratio
from benchmarks.measuring.result_file import SWEEP
from benchmarks.measuring.text import figure
from pipeline.config import PipelineConfig, open_dataset
from pipeline.errors import MisuseError
from pipeline.options import pick_fields

BATCH_SIZES = (16, 32, 64, 128, 256, 512)
HW_DECODER_LOADS = (0.0, 0.25, 0.5, 0.65, 0.8, 1.0)
# A cache is filled before the measurement by one pass, or as much of it as this time allows.
FILL_SECONDS = 10.0

Candidates = dict[str, TimedBatches]


def measure_sweep(benchmark: LoaderBenchmark, config: PipelineConfig) -> None:
    """Measure and report each value."""
    with open_setup(benchmark, config) as setup, _open_candidates(setup) as candidates:
        rows = measure(setup, candidates)
    setup.report(
        f"loader by {benchmark.sweep}",
        rows,
        {row.name: candidates[row.name].figures(len(row.values)) for row in rows},
        kind=SWEEP,
        ratios=True,
        finding=describe_fastest(rows),
    )


def describe_fastest(rows: Sequence[Measurement]) -> str:
    """The fastest row, compared with the first, and the rows that may be as fast."""
    first = rows[0]
    best = max(rows, key=lambda row: row.median)
    sentence = f"Fastest is {best.name}: {figure(best.median)} images/s ({best.interval})"
    if best is not first:
        sentence += f", {best.median / first.median:.2f} times {first.name}"
    similar = [row.name for row in rows if row is not best and ratio(row, best).interval.high >= 1]
    if similar:
        sentence += f"; not measurably slower: {', '.join(similar)}"
    return sentence + "."


@contextmanager
def _open_candidates(setup: Setup) -> Iterator[Candidates]:
    if setup.benchmark.sweep != "format":
        assert setup.benchmark.sweep is not None
        yield SWEEPS[setup.benchmark.sweep](setup)
        return
    setup.dataset.require("classification")
    with shards_by_format(setup.index, setup.image_size_px) as folders:
        yield {name: _of_folder(setup, folder) for name, folder in folders.items()}


def by_threads(setup: Setup) -> Candidates:
    """1, 2, 4 ... and --threads, by default the number of cores."""
    largest = setup.config.resolved_threads
    powers = [2**power for power in range(largest.bit_length()) if 2**power < largest]
    return {
        f"threads {count}": setup.time_loader(replace(setup.config, threads=count))
        for count in (*powers, largest)
    }


def by_batch(setup: Setup) -> Candidates:
    sizes = sorted({*BATCH_SIZES, setup.benchmark.batch_size})
    sizes = [size for size in sizes if size <= len(setup.index)]
    return {f"batch {size}": setup.time_loader(setup.config, size) for size in sizes}


def by_hw_decoder_load(setup: Setup) -> Candidates:
    if setup.device.type != "cuda":
        raise MisuseError("--sweep hw-decoder-load needs a GPU, and torch finds none.")
    return {
        f"load {load:g}": setup.time_loader(replace(setup.config, hw_decoder_load=load))
        for load in sorted({*HW_DECODER_LOADS, setup.config.hw_decoder_load})
    }


def by_cache(setup: Setup) -> Candidates:
    """Filled before the measurement, as in later epochs."""
    candidates = {}
    for tier in ("none", "host", *["device"] * (setup.device.type == "cuda")):
        config = pick_fields(PipelineConfig, vars(setup.config) | {"cache": tier})
        candidate = setup.time_loader(config)
        candidates[f"cache {tier}"] = candidate
        if tier != "none":
            _fill(candidate, len(setup.index))
    return candidates


SWEEPS: Mapping[str, Callable[[Setup], Candidates]] = {
    "threads": by_threads,
    "batch": by_batch,
    "hw-decoder-load": by_hw_decoder_load,
    "cache": by_cache,
}


def _fill(candidate: TimedBatches, samples: int) -> None:
    """Draw one pass, or as much of it as FILL_SECONDS allow; laps start at the same position."""
    start, drawn = time.monotonic(), 0
    with closing(candidate.open(0)) as batches:
        while drawn < samples and time.monotonic() - start < FILL_SECONDS:
            drawn += len(next(batches))


def _of_folder(setup: Setup, folder: Path) -> TimedBatches:
    """The loader on shards of the same images in another format."""
    size_px = setup.image_size_px
    whole = replace(setup.config, fold=None, train_samples=None)
    config = replace(whole, shards=str(folder), image_size=size_px, cache="none")
    dataset = open_dataset(config)
    return replace(setup, dataset=dataset, index=dataset.split("train")).time_loader(config)
