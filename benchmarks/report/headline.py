"""The first sentence of a report: the bottleneck and its remedies."""

import math
from collections.abc import Mapping

from benchmarks.loader.config import AUGMENT, DECODE, FULL, READ
from benchmarks.measuring.result_file import BY_STAGE, COMPUTE, SCALING, STUDY, SWEEP
from benchmarks.measuring.text import figure
from benchmarks.report.inputs import Inputs
from benchmarks.scaling.record import LOADER, SYNTHETIC, WARM, Point, read_points
from pipeline.text import plural
from trainer.plotting.curves import Run

# A run that waits for data for a larger share of its time is input-bound.
STARVED = 0.05
# Ratio to the first value of a sweep from which another value counts as a remedy.
MIN_GAIN = 1.05
# The remedy for the slowest stage of the loader.
REMEDIES = {
    READ: "a faster disk",
    DECODE: "shards with `--encode jpeg --shortest-side`",
    AUGMENT: "fewer operations",
}
# The remedy that a sweep found, by the setting that it varied.
SWEPT_REMEDIES = {"cache": "`--{}`", "format": "shards stored as {}"}


def largest_point(inputs: Inputs) -> Point | None:
    """The largest size of bench-scaling, in weak scaling if it was measured."""
    result = inputs.last(SCALING)
    if result is None:
        return None
    points = read_points(result.bundle)
    return max((p for p in points if p.mode == points[0].mode), key=lambda p: p.world_size)


def rates(inputs: Inputs) -> dict[str, float]:
    """images/s of the "loader", the "model", and "training" with both, as far as measured: by
    bench-scaling if it was given, otherwise by bench-loader and bench-compute."""
    if point := largest_point(inputs):
        rungs = {"loader": LOADER, "model": SYNTHETIC, "training": WARM}
        return {name: point.images_per_second(rung) for name, rung in rungs.items()}
    loader, compute = inputs.last(BY_STAGE), inputs.last(COMPUTE)
    loader_rate = {"loader": loader.median[FULL]} if loader else {}
    return loader_rate | ({"model": max(compute.median.values())} if compute else {})


def write_headline(inputs: Inputs) -> str:
    """The sentence, starting with a capital letter."""
    if study := inputs.last(STUDY):
        return str(study.bundle["finding"])
    text = _bottleneck(inputs)
    return f"{text[0].upper()}{text[1:].removesuffix('.')}."


def _bottleneck(inputs: Inputs) -> str:
    measured = rates(inputs)
    if point := largest_point(inputs):
        remedies = _remedies(inputs, measured) if point.limit == "input" else ""
        _, _, conclusion = point.sentence.removesuffix(".").partition(": ")
        return f"{f'on {point.world_size} ranks ' * (point.world_size > 1)}{conclusion}{remedies}"
    if {"loader", "model"} <= measured.keys():
        times = measured["loader"] / measured["model"]
        loader, model = figure(measured["loader"]), figure(measured["model"])
        if times < 1:
            return (
                f"Input-bound: the loader gives {loader} images/s, the model trains at {model}"
                f"{_remedies(inputs, measured)}"
            )
        return (
            f"Compute-bound: the model trains at {model} images/s, the loader gives {loader}, "
            f"{as_times(times)} as many"
        )
    return _of_run(inputs.runs[-1]) if inputs.runs else str(inputs.results[-1].bundle["finding"])


def as_times(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.2f} times"


def _remedies(inputs: Inputs, measured: Mapping[str, float]) -> str:
    """How to make the loader as fast as the model, as far as the results show."""
    remedies = _more_threads(inputs, measured["model"] / measured["loader"]) + _faster_input(inputs)
    return f"; remedies: {' or '.join(remedies)}" if remedies else ""


def _more_threads(inputs: Inputs, times: float) -> list[str]:
    """The loader's rate grows with its threads up to the number of cores."""
    point, scaling, loader = largest_point(inputs), inputs.last(SCALING), inputs.last(BY_STAGE)
    if point and scaling and point.rank_cores[0]:
        threads, result, of = len(point.rank_cores[0]), scaling, " a rank"
    elif loader and not point:
        threads, result, of = loader.bundle["threads"], loader, ""
    else:
        return []
    needed, cores = math.floor(threads * times), result.environment["cpus"]
    more = f"more than {plural(needed, 'thread')}{of}"
    return [more if needed < cores else f"{more} (this machine has {plural(cores, 'core')})"]


def _faster_input(inputs: Inputs) -> list[str]:
    """From sweeps, or from the slowest stage of the loader if no sweep found a remedy."""
    remedies = []
    sweeps = {result.bundle["settings"]["sweep"]: result for result in inputs.all(SWEEP)}
    for name, remedy in SWEPT_REMEDIES.items():
        if sweep := sweeps.get(name):
            best = max(sweep.median, key=sweep.median.__getitem__)
            times = sweep.median[best] / next(iter(sweep.median.values()))
            if times > MIN_GAIN:
                remedies.append(f"{remedy.format(best)} ({times:.2g} times the rate)")
    loader = inputs.last(BY_STAGE)
    if remedies or loader is None:
        return remedies
    shares: dict[str, float] = loader.bundle["share_of_time"]
    slowest = max(shares, key=shares.__getitem__)
    return [REMEDIES[slowest]] if slowest in REMEDIES else []


def _of_run(run: Run) -> str:
    if run.steady is None:
        return f"{run.name} is too short to show its bottleneck"
    rate, share = figure(run.steady.images_per_second), run.steady.data_share
    if share > STARVED:
        return f"Input-bound: {run.name} waits for data {share:.0%} of the time ({rate} images/s)"
    return (
        f"Compute-bound: {run.name} trains at {rate} images/s and waits for data {share:.1%} of "
        f"the time"
    )
