"""A prediction: its table, its assumptions, and its error where there are measurements."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.entries import errors_of, from_json
from benchmarks.measuring.result_file import PREDICTION, read_bundle
from benchmarks.measuring.table import report
from benchmarks.measuring.text import figure
from benchmarks.predict.baseline import Baseline, read_baseline
from benchmarks.predict.config import PredictConfig
from benchmarks.predict.network_probe import measure_network
from benchmarks.predict.networks import GLOO, LINKS, NVLINK, Network, parse_link
from benchmarks.predict.step_model import (
    BACKWARD_SHARE,
    BUCKET_BYTES,
    PredictedStep,
    first_limit,
    predict_step,
)
from pipeline.errors import MisuseError
from pipeline.text import plural

# ``predict_step`` on one network: called with a RankSpeed and ranks=.
PredictStep = Callable[..., PredictedStep]
# Column of the table, in ms -> field of a step.
_COLUMNS = {
    "step": "step_seconds",
    "all-reduce": "all_reduce_seconds",
    "exposed": "exposed_seconds",
    "input wait": "waiting_seconds",
}


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
        within=within or LINKS[GLOO if "CPU" in baseline.device else NVLINK],
        between=between,
    )
    if config.network_of:
        network = _network_of(Path(config.network_of))
    elif config.measure_network:
        network = measure_network(network, baseline)
    _report(baseline, network, config)


def _network_of(path: Path) -> Network:
    bundle = read_bundle(path)
    if bundle["kind"] != PREDICTION:
        raise MisuseError(f"--network-of {path} is not a result of bench-predict: give one.")
    with errors_of(path):
        network: Network = from_json(Network, bundle.get("network"), "network")
    return network


def _report(baseline: Baseline, network: Network, config: PredictConfig) -> None:
    speed, cores = baseline.speed, config.cores_per_node or baseline.node_cores
    predicted: PredictStep = partial(predict_step, network=network, cores_per_node=cores)
    powers = {2**power for power in range(config.max_ranks.bit_length())}
    sizes = sorted(powers | {size.ranks for size in baseline.measured})
    steps = {plural(ranks, "rank"): predicted(speed, ranks=ranks) for ranks in sizes}
    efficiencies = {name: _efficiency(step, steps["1 rank"]) for name, step in steps.items()}
    limits = {name: first_limit(step) for name, step in steps.items()}
    checks, stated = compare(baseline, predicted), assumptions(baseline, network, cores)
    report(
        f"predicted: {baseline.model}, batch {speed.batch_size} a rank, "
        f"{plural(network.ranks_per_node, 'rank')} a node",
        "images/s",
        [_images_per_second(ranks, baseline, predicted) for ranks in sizes],
        kind=PREDICTION,
        facts={
            "predictions": [
                {"limit": limits[name], "efficiency": efficiencies[name], **asdict(step)}
                for name, step in steps.items()
            ],
            "checks": checks,
            "assumptions": stated,
            "network": asdict(network),
            "rank": asdict(speed),
            "model": baseline.model,
            "device": baseline.device,
        },
        columns={
            "efficiency": {name: f"{value:.1%}" for name, value in efficiencies.items()},
            "first limit": limits,
            **{
                f"{part}, ms": {n: f"{1e3 * getattr(s, field):,.1f}" for n, s in steps.items()}
                for part, field in _COLUMNS.items()
            },
        },
        ratios=False,
        notes=[*stated, *map(_describe, checks)],
        finding=find_limits(list(steps.values()), checks),
        output=config.output,
    )


def _efficiency(step: PredictedStep, single: PredictedStep) -> float:
    """images/s of a rank over those of a `single` one."""
    return step.images_per_second / (step.ranks * single.images_per_second)


def _images_per_second(ranks: int, baseline: Baseline, predicted: PredictStep) -> Measurement:
    """From each run of the baseline."""
    steps = [predicted(run, ranks=ranks) for run in baseline.runs]
    values = tuple(step.images_per_second for step in steps)
    return Measurement(name=plural(ranks, "rank"), values=values)


def compare(baseline: Baseline, predicted: PredictStep) -> list[dict[str, Any]]:
    """Predicted and measured images/s of each measurement of several ranks, and the error."""
    fed = baseline.speed
    synthetic = replace(fed, loader_rate=None, training_rate=None)
    checks = []
    for size in baseline.measured:
        step = predicted(fed if size.fed else synthetic, ranks=size.ranks)
        rates = {"predicted": step.images_per_second, "measured": statistics.median(size.values)}
        error = rates["predicted"] / rates["measured"] - 1
        checks.append({"ranks": size.ranks, "fed": size.fed, **rates, "error": error})
    return checks


def _describe(check: Mapping[str, Any]) -> str:
    batches = "batches of the loader" if check["fed"] else "synthetic batches"
    return (
        f"{plural(check['ranks'], 'rank')}, {batches}: predicted {figure(check['predicted'])} "
        f"images/s, measured {figure(check['measured'])}: {check['error']:+.1%}"
    )


def assumptions(baseline: Baseline, network: Network, cores: int) -> list[str]:
    """All assumptions of the prediction, a sentence each; a node has so many `cores`."""
    speed = baseline.speed
    slowdown = "the ranks of a node do not slow each other down"
    if network.slowdown > 1:
        slowdown = f"all ranks of a node at once take {network.slowdown:.3f} times as long"
    loader = "Input was not measured: it is never the limit."
    if speed.loader_rate is not None:
        loader = (
            f"Input: the loader of a rank gives {figure(speed.loader_rate)} images/s on "
            f"{plural(speed.threads, 'core')} and less on fewer; a node has "
            f"{plural(cores, 'core')}; files are in the page cache."
        )
    interference = "Loader and model do not slow each other down."
    if speed.training_rate is not None:
        interference = (
            f"Loader and model together: a step takes as long as the slower of both "
            f"{1e3 * speed.interference_seconds:+,.1f} ms, at every number of ranks."
        )
    return [
        f"Weak scaling: the batch size of a rank is {speed.batch_size} at every number of ranks.",
        f"Compute: {figure(speed.compute_rate)} images/s a rank ({baseline.device}), "
        f"{BACKWARD_SHARE:.0%} of the time in the backward pass; {slowdown}.",
        loader,
        interference,
        f"Gradients: {speed.gradient_bytes / 1e6:,.1f} MB a step in equal buckets of at most "
        f"{BUCKET_BYTES / 2**20:.0f} MiB, ready at regular intervals of the backward pass. It "
        f"hides all but the last bucket, and all but the work of the ranks' CPU cores.",
        "All-reduce: a ring within each node, then a ring between the nodes; NCCL's trees are "
        "faster on many nodes.",
        f"Within a node {network.within}.",
        f"Between nodes {network.between}, shared by {plural(network.ranks_per_node, 'rank')}.",
        "All ranks are equally fast: none waits for the slowest.",
    ]


def find_limits(steps: Sequence[PredictedStep], checks: Sequence[Mapping[str, Any]]) -> str:
    """The finding: the first limit by number of ranks, the largest size, and the largest error."""
    groups = groupby(steps[len(steps) > 1 :], first_limit)
    (first, until), *later = [(limit, [*group][-1].ranks) for limit, group in groups]
    limits = [f"{first.capitalize()} is the first limit up to {plural(until, 'rank')}"]
    limits += [f"then {limit} up to {ranks:,}" for limit, ranks in later]
    largest = steps[-1]
    sentence = (
        f"{', '.join(limits)}: {figure(largest.images_per_second)} images/s at "
        f"{plural(largest.ranks, 'rank')}, efficiency {_efficiency(largest, steps[0]):.0%}"
    )
    if not checks:
        return f"{sentence}; there is no measurement to compare with."
    error = max(abs(check["error"]) for check in checks)
    return f"{sentence}; the largest error against a measurement is {error:.1%}."
