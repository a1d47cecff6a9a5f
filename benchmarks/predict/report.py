"""A prediction: its table, its assumptions, and its error where there are measurements."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.result_file import PREDICTION, from_json, read_bundle
from benchmarks.measuring.table import report
from benchmarks.measuring.text import counted, figure
from benchmarks.predict.baseline import Baseline, read_baseline
from benchmarks.predict.config import PredictConfig
from benchmarks.predict.network_probe import measure_network
from benchmarks.predict.networks import GLOO, LINKS, NVLINK, Network, parse_link
from benchmarks.predict.step_model import (
    BACKWARD_SHARE,
    BUCKET_BYTES,
    PredictedStep,
    RankSpeed,
    first_limit,
    predict_step,
)
from pipeline.errors import MisuseError


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """Ranks of the speed of a baseline on a network, with so many CPU cores on a node."""

    baseline: Baseline
    network: Network
    cores_per_node: int

    @property
    def speed(self) -> RankSpeed:
        """The median of each rate over the runs."""
        runs = self.baseline.runs

        def median(rate: str) -> float | None:
            values = [value for run in runs if (value := getattr(run, rate)) is not None]
            return statistics.median(values) if values else None

        names = ("compute_rate", "loader_rate", "training_rate")
        medians: dict[str, Any] = {name: median(name) for name in names}
        return replace(runs[0], **medians)

    def step(self, speed: RankSpeed, ranks: int) -> PredictedStep:
        return predict_step(speed, self.network, ranks, cores_per_node=self.cores_per_node)


@dataclass(frozen=True, kw_only=True)
class SizePrediction:
    """The step of a number of ranks from the medians of the baseline, its efficiency, and images/s
    from each run of the baseline."""

    step: PredictedStep
    efficiency: float
    values: tuple[float, ...]

    @property
    def name(self) -> str:
        return counted(self.step.ranks, "rank")

    @property
    def limit(self) -> str:
        return first_limit(self.step)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Predicted and measured images/s, on batches of a loader (`fed`) or synthetic ones."""

    ranks: int
    fed: bool
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1

    def __str__(self) -> str:
        batches = "batches of the loader" if self.fed else "synthetic batches"
        return (
            f"{counted(self.ranks, 'rank')}, {batches}: predicted {figure(self.predicted)} "
            f"images/s, measured {figure(self.measured)}: {self.error:+.1%}"
        )


def predict(results: Sequence[Path], config: PredictConfig) -> None:
    """Predict from the files `results`; print the prediction, and write it to ``config.output``.

    Raises ``MisuseError`` for results or options that do not go together, and ``DataError`` for an
    unreadable result or a network that can't be measured.
    """
    within = config.within and parse_link("--within", config.within)
    between = parse_link("--between", config.between)
    baseline = read_baseline(
        results,
        batch_size=config.batch_size,
        gradient_bytes=config.gradient_mb and 1e6 * config.gradient_mb,
    )
    network = Network(
        ranks_per_node=config.ranks_per_node or baseline.node_ranks,
        within=within or LINKS[NVLINK if baseline.on_gpu else GLOO],
        between=between,
    )
    if config.network_of:
        network = _network_of(Path(config.network_of))
    elif config.measure_network:
        network = measure_network(network, baseline)
    cores = config.cores_per_node or baseline.node_cores
    _report(Predictor(baseline=baseline, network=network, cores_per_node=cores), config)


def _network_of(path: Path) -> Network:
    bundle = read_bundle(path)
    if bundle["kind"] != PREDICTION:
        raise MisuseError(f"--network-of {path} is not a result of bench-predict: give one.")
    network: Network = from_json(Network, bundle["network"])
    return network


def _report(predictor: Predictor, config: PredictConfig) -> None:
    sizes, comparisons = predict_sizes(predictor, config.max_ranks), compare(predictor)
    baseline, network, speed = predictor.baseline, predictor.network, predictor.speed
    stated = assumptions(predictor)
    report(
        f"predicted: {baseline.model}, batch {speed.batch_size} a rank, "
        f"{counted(network.ranks_per_node, 'rank')} a node",
        "images/s",
        [Measurement(name=size.name, values=size.values) for size in sizes],
        kind=PREDICTION,
        facts={
            "predictions": [
                {"limit": size.limit, "efficiency": size.efficiency, **asdict(size.step)}
                for size in sizes
            ],
            "checks": [asdict(row) | {"error": row.error} for row in comparisons],
            "assumptions": stated,
            "network": asdict(network),
            "rank": asdict(speed),
            "model": baseline.model,
            "device": baseline.device,
        },
        columns=_columns(sizes),
        ratios=False,
        notes=[*stated, *map(str, comparisons)],
        finding=find_limits(sizes, comparisons),
        output=config.output,
    )


def predict_sizes(predictor: Predictor, max_ranks: int) -> list[SizePrediction]:
    """1, 2, 4 ... `max_ranks` ranks, and the numbers of ranks that were measured."""
    speed, runs = predictor.speed, predictor.baseline.runs
    rank_rate = predictor.step(speed, 1).images_per_second
    powers = {2**power for power in range(max_ranks.bit_length())}
    sizes = []
    for ranks in sorted(powers | {size.ranks for size in predictor.baseline.measured}):
        step = predictor.step(speed, ranks)
        sizes.append(
            SizePrediction(
                step=step,
                efficiency=step.images_per_second / (ranks * rank_rate),
                values=tuple(predictor.step(run, ranks).images_per_second for run in runs),
            )
        )
    return sizes


def compare(predictor: Predictor) -> list[Comparison]:
    """The prediction compared with each measurement of several ranks."""
    fed = predictor.speed
    synthetic = replace(fed, loader_rate=None, training_rate=None)
    return [
        Comparison(
            ranks=size.ranks,
            fed=size.fed,
            predicted=predictor.step(fed if size.fed else synthetic, size.ranks).images_per_second,
            measured=statistics.median(size.values),
        )
        for size in predictor.baseline.measured
    ]


def assumptions(predictor: Predictor) -> list[str]:
    """All assumptions of the prediction, a sentence each."""
    speed, network = predictor.speed, predictor.network
    slowdown, cores = "the ranks of a node do not slow each other down", predictor.cores_per_node
    if network.slowdown > 1:
        slowdown = f"all ranks of a node at once take {network.slowdown:.3f} times as long"
    loader = "Input was not measured: it is never the limit."
    if speed.loader_rate is not None:
        loader = (
            f"Input: the loader of a rank gives {figure(speed.loader_rate)} images/s on "
            f"{counted(speed.threads, 'core')} and less on fewer; a node has "
            f"{counted(cores, 'core')}; files are in the page cache."
        )
    interference = "Loader and model do not slow each other down."
    if speed.training_rate is not None:
        interference = (
            f"Loader and model together: a step takes as long as the slower of both "
            f"{1e3 * speed.interference_seconds:+,.1f} ms, at every number of ranks."
        )
    return [
        f"Weak scaling: the batch size of a rank is {speed.batch_size} at every number of ranks.",
        f"Compute: {figure(speed.compute_rate)} images/s a rank ({predictor.baseline.device}), "
        f"{BACKWARD_SHARE:.0%} of the time in the backward pass; {slowdown}.",
        loader,
        interference,
        f"Gradients: {speed.gradient_bytes / 1e6:,.1f} MB a step in equal buckets of at most "
        f"{BUCKET_BYTES / 2**20:.0f} MiB, ready at regular intervals of the backward pass. It "
        f"hides all but the last bucket, and all but the work of the ranks' CPU cores.",
        "All-reduce: a ring within each node, then a ring between the nodes; NCCL's trees are "
        "faster on many nodes.",
        f"Within a node {network.within}.",
        f"Between nodes {network.between}, shared by {counted(network.ranks_per_node, 'rank')}.",
        "All ranks are equally fast: none waits for the slowest.",
    ]


def find_limits(sizes: Sequence[SizePrediction], comparisons: Sequence[Comparison]) -> str:
    """The finding: the first limit by number of ranks, the largest size, and the largest error."""
    groups = groupby(sizes[len(sizes) > 1 :], lambda size: size.limit)
    (first, until), *later = [(limit, [*group][-1].step.ranks) for limit, group in groups]
    limits = [f"{first.capitalize()} is the first limit up to {counted(until, 'rank')}"]
    limits += [f"then {limit} up to {ranks:,}" for limit, ranks in later]
    largest = sizes[-1]
    sentence = (
        f"{', '.join(limits)}: {figure(largest.step.images_per_second)} images/s at "
        f"{largest.name}, efficiency {largest.efficiency:.0%}"
    )
    if not comparisons:
        return f"{sentence}; there is no measurement to compare with."
    error = max(abs(comparison.error) for comparison in comparisons)
    return f"{sentence}; the largest error against a measurement is {error:.1%}."


def _columns(sizes: Sequence[SizePrediction]) -> Mapping[str, Mapping[str, str]]:
    columns: dict[str, Callable[[SizePrediction], str]] = {
        "efficiency": lambda size: f"{size.efficiency:.1%}",
        "first limit": lambda size: size.limit,
        "step, ms": lambda size: f"{1e3 * size.step.step_seconds:,.1f}",
        "all-reduce, ms": lambda size: f"{1e3 * size.step.all_reduce_seconds:,.1f}",
        "exposed, ms": lambda size: f"{1e3 * size.step.exposed_seconds:,.1f}",
        "input wait, ms": lambda size: f"{1e3 * size.step.waiting_seconds:,.1f}",
    }
    return {header: {size.name: show(size) for size in sizes} for header, show in columns.items()}
