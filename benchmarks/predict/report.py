"""Predictions at all sizes: the table, every assumption, and the error beside what was measured."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.result_file import PREDICTION
from benchmarks.measuring.table import report
from benchmarks.measuring.text import counted, figure
from benchmarks.predict.baseline import MeasuredSize, OneRank
from benchmarks.predict.networks import Network
from benchmarks.predict.step_model import (
    BACKWARD_SHARE,
    BUCKET_BYTES,
    Rank,
    Scaled,
    first_limit,
    scale,
)


@dataclass(frozen=True, kw_only=True)
class Size:
    """A prediction of `ranks` ranks: `values` in images/s from each run of the one rank; `median`
    is the step from their medians."""

    ranks: int
    values: tuple[float, ...]
    median: Scaled
    efficiency: float

    @property
    def limit(self) -> str:
        return first_limit(self.median)


@dataclass(frozen=True, kw_only=True)
class Check:
    """A prediction beside what was measured."""

    ranks: int
    fed: bool
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1

    def __str__(self) -> str:
        ranks = counted(self.ranks, "rank")
        batches = "batches from the loader" if self.fed else "synthetic batches"
        return (
            f"{ranks}, {batches}: predicted {figure(self.predicted)} images/s, "
            f"measured {figure(self.measured)}: {self.error:+.1%}"
        )


def report_prediction(
    one: OneRank, network: Network, *, cores_per_node: int, most: int, output: str | None
) -> None:
    sizes = predict_sizes(one, network, cores_per_node=cores_per_node, most=most)
    checks = check(one, network, cores_per_node=cores_per_node)
    typical = _typical(one.runs)
    stated = assumptions(typical, network, device=one.device, cores_per_node=cores_per_node)
    rows = [Measurement(name=counted(size.ranks, "rank"), values=size.values) for size in sizes]
    report(
        f"predicted: {one.model}, batch {typical.batch_size} a rank, "
        f"{counted(network.ranks_per_node, 'rank')} a node",
        "images/s",
        rows,
        kind=PREDICTION,
        facts={
            "predictions": [
                {"limit": size.limit, "efficiency": size.efficiency, **asdict(size.median)}
                for size in sizes
            ],
            "checks": [asdict(each) | {"error": each.error} for each in checks],
            "assumptions": stated,
            "network": asdict(network),
            "rank": asdict(typical),
            "model": one.model,
            "device": one.device,
        },
        columns=_columns(sizes),
        ratios=False,
        notes=[*stated, *map(str, checks)],
        finding=find_limits(sizes, checks),
        output=output,
    )


def predict_sizes(one: OneRank, network: Network, *, cores_per_node: int, most: int) -> list[Size]:
    """1, 2, 4 ... `most` ranks, and those that were measured."""
    powers = {2**power for power in range(most.bit_length()) if 2**power <= most}
    wanted = sorted(powers | {each.ranks for each in one.measured})
    typical = _typical(one.runs)
    alone = scale(typical, network, 1, cores_per_node=cores_per_node)
    found = []
    for ranks in wanted:
        median = scale(typical, network, ranks, cores_per_node=cores_per_node)
        runs = [scale(rank, network, ranks, cores_per_node=cores_per_node) for rank in one.runs]
        found.append(
            Size(
                ranks=ranks,
                values=tuple(run.images_per_second for run in runs),
                median=median,
                efficiency=median.images_per_second / (ranks * alone.images_per_second),
            )
        )
    return found


def check(one: OneRank, network: Network, *, cores_per_node: int) -> list[Check]:
    typical = _typical(one.runs)
    synthetic = replace(typical, loader_rate=None, training_rate=None)

    def predicted(size: MeasuredSize) -> float:
        rank = typical if size.fed else synthetic
        return scale(rank, network, size.ranks, cores_per_node=cores_per_node).images_per_second

    return [
        Check(
            ranks=size.ranks,
            fed=size.fed,
            predicted=predicted(size),
            measured=statistics.median(size.values),
        )
        for size in one.measured
    ]


def _typical(runs: Sequence[Rank]) -> Rank:
    """The rank with the median of each rate."""

    def middle(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    return replace(
        runs[0],
        compute_rate=statistics.median(rank.compute_rate for rank in runs),
        loader_rate=middle([rank.loader_rate for rank in runs]),
        training_rate=middle([rank.training_rate for rank in runs]),
    )


def assumptions(rank: Rank, network: Network, *, device: str, cores_per_node: int) -> list[str]:
    """All that the figures rest on, a line each."""
    loaders = (
        f"Input: a rank's loader gives {figure(rank.loader_rate)} images/s on "
        f"{counted(rank.threads, 'core')} and less on fewer; a node has {cores_per_node}; files "
        f"stay in memory."
        if rank.loader_rate is not None
        else "Input was not measured: it is never the limit."
    )
    return [
        f"Weak scaling: each rank's step has {rank.batch_size} images at every size.",
        f"Compute: {figure(rank.compute_rate)} images/s a rank ({device}), {BACKWARD_SHARE:.0%} of "
        f"its time backward; "
        + (
            f"{network.slowdown:.3f} times as long where all ranks of a node compute at once."
            if network.slowdown > 1
            else "beside others as alone."
        ),
        loaders,
        f"Both at once: a step takes as long as the slower one "
        f"{1e3 * rank.interference_seconds:+,.1f} ms, at every size."
        if rank.training_rate is not None
        else "Loader and model don't get in each other's way.",
        f"Gradients: {rank.gradient_bytes / 1e6:,.1f} MB a step in equal buckets of at most "
        f"{BUCKET_BYTES / 2**20:.0f} MiB, ready at even times of the backward pass; it hides all "
        f"but the last of them, and but what the ranks' own cores do.",
        "All-reduce: rings, within nodes and between them, one after the other; where NCCL takes "
        "trees, many nodes wait less.",
        f"Within a node {network.within}.",
        f"Between nodes {network.between}, shared by {counted(network.ranks_per_node, 'rank')}.",
        "All ranks are equally fast: none waits for the slowest.",
    ]


def find_limits(sizes: Sequence[Size], checks: Sequence[Check]) -> str:
    """The sentence: the first limit from size to size, what the largest gives, and the error."""
    spans: list[tuple[str, int]] = []
    for size in sizes:
        if size.ranks == 1 and len(sizes) > 1:
            continue
        if spans and spans[-1][0] == size.limit:
            spans.pop()
        spans.append((size.limit, size.ranks))
    (first, until), *later = spans
    words = [f"{first.capitalize()} is the first limit up to {counted(until, 'rank')}"]
    words += [f"then {limit} up to {last:,}" for limit, last in later]
    largest = sizes[-1]
    sentence = (
        f"{', '.join(words)}: {figure(largest.median.images_per_second)} images/s there, "
        f"efficiency {largest.efficiency:.0%}"
    )
    if not checks:
        return f"{sentence}; nothing was measured to compare with."
    worst = max(checks, key=lambda each: abs(each.error))
    return f"{sentence}; beside what was measured the error is {abs(worst.error):.1%} at most."


def _columns(sizes: Sequence[Size]) -> Mapping[str, Mapping[str, str]]:
    def column(show: Callable[[Size], str]) -> dict[str, str]:
        return {counted(size.ranks, "rank"): show(size) for size in sizes}

    return {
        "efficiency": column(lambda size: f"{size.efficiency:.1%}"),
        "first limit": column(lambda size: size.limit),
        "step, ms": column(lambda size: f"{1e3 * size.median.step_seconds:,.1f}"),
        "all-reduce": column(lambda size: f"{1e3 * size.median.all_reduce_seconds:,.1f}"),
        "not hidden": column(lambda size: f"{1e3 * size.median.exposed_seconds:,.1f}"),
        "waiting for input": column(lambda size: f"{1e3 * size.median.waiting_seconds:,.1f}"),
    }
