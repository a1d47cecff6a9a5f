"""What all results together come to, in one sentence, with what would lift it."""

import math
from dataclasses import dataclass

from benchmarks.loader.config import AUGMENT, DECODE, FULL, READ
from benchmarks.measuring.result_file import BY_STAGE, COMPUTE, SCALING, STUDY, SWEEP
from benchmarks.measuring.text import counted, figure
from benchmarks.report.inputs import Inputs, Result
from benchmarks.scaling.record import LOADER, SYNTHETIC, WARM, Point, read_points
from trainer.plotting.curves import Run

# Less of a run's time than this spent waiting for data, and the loader is no limit worth a word.
STARVED = 0.05
# A sweep's value that gives less than this times the first one lifts nothing.
LIFT = 1.05


@dataclass(frozen=True, kw_only=True)
class Rates:
    """images/s of the loader alone, the model alone, and both; None where not measured."""

    loader: float | None = None
    model: float | None = None
    both: float | None = None

    def known(self) -> dict[str, float]:
        named = {"loader alone": self.loader, "model alone": self.model, "training": self.both}
        return {name: rate for name, rate in named.items() if rate is not None}


def largest_point(inputs: Inputs) -> Point | None:
    """Of weak scaling, where there is some."""
    result = inputs.last(SCALING)
    if result is None:
        return None
    points = read_points(result.bundle)
    modes = [point.mode for point in points]
    return max((p for p in points if p.mode == modes[0]), key=lambda p: p.world_size)


def rates(inputs: Inputs) -> Rates:
    """Those of one measurement where there is one, else of several."""
    if point := largest_point(inputs):
        alone = (point.images_per_second(rung) for rung in (LOADER, SYNTHETIC, WARM))
        return Rates(**dict(zip(("loader", "model", "both"), alone, strict=True)))
    loader, compute = inputs.last(BY_STAGE), inputs.last(COMPUTE)
    return Rates(
        loader=loader.median[FULL] if loader else None,
        model=max(compute.median.values()) if compute else None,
    )


def verdict(inputs: Inputs) -> str:
    """The sentence that a report begins with."""
    if study := inputs.last(STUDY):
        return str(study.bundle["finding"])
    if point := largest_point(inputs):
        lifted = lift(inputs, rates(inputs)) if point.limit == "input" else ""
        _, _, said = point.sentence.removesuffix(".").partition(": ")
        where = f"on {point.world_size} ranks " if point.world_size > 1 else ""
        return _sentence(f"{where}{said}{lifted}")
    found = rates(inputs)
    if found.loader is not None and found.model is not None:
        loader, model = figure(found.loader), figure(found.model)
        if found.loader < found.model:
            return _sentence(
                f"Input-bound: the loader gives {loader} images/s, the model could take {model}"
                + lift(inputs, found)
            )
        return _sentence(
            f"Compute-bound: the model takes {model} images/s, the loader gives {loader}, "
            f"{as_times(found.loader / found.model)} as many"
        )
    if inputs.runs:
        return _sentence(_of_run(inputs.runs[-1]))
    return _sentence(str(inputs.results[-1].bundle["finding"]).removesuffix("."))


def as_times(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.2f} times"


def lift(inputs: Inputs, found: Rates) -> str:
    """What would make the loader as fast as the model, as far as the results say."""
    assert found.loader and found.model
    ways = [*_more_threads(inputs, found.model / found.loader), *_faster_input(inputs)]
    if not ways:
        return ""
    return f"; {' or '.join(ways)} would lift it"


def _more_threads(inputs: Inputs, times: float) -> list[str]:
    """The loader's rate grows with its threads until the cores are used up."""
    point, scaling, loader = largest_point(inputs), inputs.last(SCALING), inputs.last(BY_STAGE)
    if point and scaling and point.rank_cores[0]:
        threads, result, of = len(point.rank_cores[0]), scaling, " a rank"
    elif loader and not point:
        threads, result, of = loader.bundle["threads"], loader, ""
    else:
        return []
    needed, cores = math.floor(threads * times), result.environment["cpus"]
    more = f"more than {counted(needed, 'thread')}{of}"
    return [more if needed < cores else f"{more} (this machine has {counted(cores, 'core')})"]


def _faster_input(inputs: Inputs) -> list[str]:
    """From sweeps where there are some, else from the stage that takes most of the time."""
    sweeps = {result.bundle["settings"]["sweep"]: result for result in inputs.all(SWEEP)}
    ways = [
        way
        for name, say in (("cache", _cached), ("format", _stored))
        if (sweep := sweeps.get(name)) and (way := say(sweep))
    ]
    loader = inputs.last(BY_STAGE)
    if ways or loader is None:
        return ways
    stages: dict[str, float] = loader.bundle["share_of_time"]
    slowest = max(stages, key=lambda name: stages[name])
    known = {
        READ: "a faster disk",
        DECODE: "shards with `--encode jpeg --shortest-side`",
        AUGMENT: "fewer operations",
    }
    return [known[slowest]] if slowest in known else []


def _cached(sweep: Result) -> str | None:
    best, times = _best(sweep)
    return f"`--{best}` ({times:.2g} times the rate)" if times > LIFT else None


def _stored(sweep: Result) -> str | None:
    best, times = _best(sweep)
    return f"shards stored as {best} ({times:.2g} times the rate)" if times > LIFT else None


def _best(sweep: Result) -> tuple[str, float]:
    """The fastest row, and how many times as fast as the first it is."""
    first, best = next(iter(sweep.median)), max(sweep.median, key=lambda row: sweep.median[row])
    return best, sweep.median[best] / sweep.median[first]


def _of_run(run: Run) -> str:
    if run.steady is None:
        return f"{run.name} has not made enough steps to say what bounds it"
    rate, share = figure(run.steady.images_per_second), run.steady.data_share
    if share > STARVED:
        return (
            f"Input-bound: {run.name} waits for data for {share:.0%} of its time ({rate} images/s)"
        )
    return f"Compute-bound: {run.name} trains at {rate} images/s and waits for data for {share:.1%}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
