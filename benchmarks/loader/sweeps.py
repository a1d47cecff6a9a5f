"""The whole loader at several values of one setting, alternating."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from typing import Any

from benchmarks.datasets.reencoded import shards_by_format
from benchmarks.loader.config import LoaderBenchmark
from benchmarks.loader.setup import Setup, open_setup
from benchmarks.loader.timed_batches import COLUMNS, TimedBatches
from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.result_file import SWEEP
from benchmarks.measuring.table import figure_columns, report
from benchmarks.measuring.text import figure
from pipeline.config import PipelineConfig, open_dataset
from pipeline.errors import MisuseError

BATCH_SIZES = (16, 32, 64, 128, 256, 512)
HW_DECODER_LOADS = (0.0, 0.25, 0.5, 0.65, 0.8, 1.0)
# A cache is filled before it is measured, with as much of the first pass as comes in so long.
FILL_SECONDS = 10.0

Contenders = dict[str, TimedBatches]


def measure_sweep(benchmark: LoaderBenchmark, config: PipelineConfig) -> None:
    assert benchmark.sweep is not None
    with open_setup(benchmark, config) as setup, SWEEPS[benchmark.sweep](setup) as contenders:
        facts = setup.facts()
        rows = alternate(contenders, runs=benchmark.runs, warmup=benchmark.warmup)
        figures = {name: each.figures(benchmark.runs) for name, each in contenders.items()}
        report(
            f"loader by {benchmark.sweep}: {setup.title}",
            "images/s",
            rows,
            kind=SWEEP,
            facts=facts | {"figures": figures},
            columns=figure_columns(figures, COLUMNS),
            notes=setup.warnings(facts),
            finding=find_fastest(rows),
            output=benchmark.output,
        )


def find_fastest(rows: Sequence[Measurement]) -> str:
    """The sentence: the fastest row beside the first, and which others may be as fast."""
    first = rows[0]
    best = max(rows, key=lambda row: row.median)
    span = f"{figure(best.interval.low)} to {figure(best.interval.high)}"
    sentence = f"Fastest is {best.name}: {figure(best.median)} images/s ({span})"
    if best is not first:
        sentence += f", {best.median / first.median:.2f} times {first.name}"
    alike = [row.name for row in rows if row is not best and ratio(row, best).interval.high >= 1]
    if alike:
        sentence += f"; {', '.join(alike)} can't be told from it"
    return sentence + "."


@contextmanager
def by_threads(setup: Setup) -> Iterator[Contenders]:
    """1, 2, 4 ... and as many as asked for, by default the cores."""
    most = setup.config.resolved_threads
    counts = [2**power for power in range(most.bit_length()) if 2**power < most] + [most]
    yield _contenders(setup, {f"threads {count}": {"threads": count} for count in counts})


@contextmanager
def by_batch(setup: Setup) -> Iterator[Contenders]:
    sizes = sorted({*BATCH_SIZES, setup.benchmark.batch_size})
    yield {f"batch {size}": setup.whole(setup.config, size) for size in sizes}


@contextmanager
def by_hw_decoder_load(setup: Setup) -> Iterator[Contenders]:
    if setup.device.type != "cuda":
        raise MisuseError("--sweep hw-decoder-load needs a GPU, and torch sees none here.")
    loads = sorted({*HW_DECODER_LOADS, setup.config.hw_decoder_load})
    yield _contenders(setup, {f"load {load:g}": {"hw_decoder_load": load} for load in loads})


@contextmanager
def by_cache(setup: Setup) -> Iterator[Contenders]:
    """Filled beforehand: what later epochs see."""
    contenders = {}
    for tier in ("none", "host", *["device"] * (setup.device.type == "cuda")):
        config = replace(setup.config, cache=tier)
        draws = contenders[f"cache {tier}"] = setup.whole(config, setup.benchmark.batch_size)
        if tier != "none":
            fill(draws, len(setup.index))
    yield contenders


def fill(draws: TimedBatches, samples: int) -> None:
    """Draw one pass, or as much of it as comes in FILL_SECONDS: runs begin at the same position."""
    start, drawn = time.monotonic(), 0
    with closing(draws.open(0)) as batches:
        while drawn < samples and time.monotonic() - start < FILL_SECONDS:
            drawn += len(next(batches))


@contextmanager
def by_format(setup: Setup) -> Iterator[Contenders]:
    """The same images, the first of the split, as tools/shard stores them."""
    setup.dataset.require("classification")
    with shards_by_format(setup.index, setup.image_size_px) as folders:
        contenders = {}
        for name, folder in folders.items():
            config = replace(
                setup.config, shards=str(folder), image_size=setup.image_size_px, cache="none"
            )
            dataset = open_dataset(config)
            stored = replace(setup, dataset=dataset, index=dataset.split("train"))
            contenders[name] = stored.whole(config, setup.benchmark.batch_size)
        yield contenders


SWEEPS: Mapping[str, Callable[[Setup], AbstractContextManager[Contenders]]] = {
    "threads": by_threads,
    "batch": by_batch,
    "hw-decoder-load": by_hw_decoder_load,
    "cache": by_cache,
    "format": by_format,
}


def _contenders(setup: Setup, changes: Mapping[str, Mapping[str, Any]]) -> Contenders:
    return {
        name: setup.whole(replace(setup.config, **change), setup.benchmark.batch_size)
        for name, change in changes.items()
    }
