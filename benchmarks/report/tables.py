"""Tables of a report: the figures behind the panels, and where they come from."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measuring.text import figure
from benchmarks.report.inputs import Result
from benchmarks.report.page import Table
from trainer.run.duration import clock
from trainer.tasks.scores import METRIC_NAMES

# Of each result rather than of the machine.
_OWN = ("command", "time", "commit", "dirty", "load_before")
_NAMES = {
    "cpu": "CPU",
    "cpus": "cores used",
    "memory_bytes": "memory",
    "gpus": "GPUs",
    "gpu_driver": "GPU driver",
    "python": "Python",
}
UNKNOWN = "-"


def figures_table(result: Result) -> Table:
    """Every row that was measured, with its interval, spread and number of runs."""
    bundle = result.bundle
    rows = []
    for name, median in result.median.items():
        low, high = result.span(name)
        spread, runs = bundle["spread"][name], len(bundle["values"][name])
        rows.append(
            (name, figure(median), f"{figure(low)} to {figure(high)}", f"{spread:.1%}", str(runs))
        )
    headers = ("", f"median, {bundle['unit']}", "interval of the median", "spread", "runs")
    return Table(headers=headers, rows=tuple(rows))


def predictions_table(result: Result) -> Table:
    rows = [
        (
            f"{size['ranks']:,}",
            figure(rate),
            f"{size['efficiency']:.1%}",
            size["limit"],
            f"{1e3 * size['all_reduce_seconds']:,.1f}",
            f"{1e3 * size['exposed_seconds']:,.1f}",
        )
        for size, rate in zip(result.bundle["predictions"], result.median.values(), strict=True)
    ]
    headers = ("ranks", "images/s", "efficiency", "first limit", "all-reduce, ms", "not hidden, ms")
    return Table(headers=headers, rows=tuple(rows))


def checks_table(result: Result) -> Table | None:
    """Predictions beside what was measured."""
    rows = [
        (
            f"{check['ranks']:,}",
            "from files" if check["fed"] else "synthetic",
            figure(check["predicted"]),
            figure(check["measured"]),
            f"{check['error']:+.1%}",
        )
        for check in result.bundle["checks"]
    ]
    headers = ("ranks", "batches", "predicted, images/s", "measured, images/s", "error")
    return Table(headers=headers, rows=tuple(rows)) if rows else None


def trainings_table(result: Result) -> Table:
    rows = [
        (
            name,
            f"{training['global_batch_size']:,}",
            clock(training["seconds"]),
            f"{training['epochs']:.2f}",
            figure(training["images_per_second"]),
            *(_score(training["metric"], training[which]) for which in ("final", "best")),
        )
        for name, training in zip(result.median, result.bundle["trainings"], strict=True)
    ]
    metric = METRIC_NAMES[result.bundle["trainings"][0]["metric"]][0]
    headers = ("", "global batch", "wall time", "epochs", "images/s")
    return Table(headers=(*headers, f"final {metric}", f"best {metric}"), rows=tuple(rows))


def _score(metric: str, value: float | None) -> str:
    return UNKNOWN if value is None else format(value, METRIC_NAMES[metric][1])


def machine_table(results: Sequence[Result]) -> Table:
    """Machine and versions: a column for each that differs."""
    columns: dict[str, Mapping[str, Any]] = {}
    for result in results:
        facts = {key: each for key, each in result.environment.items() if key not in _OWN}
        same = next((name for name, known in columns.items() if _agree(known, facts)), None)
        if same is None:
            columns[result.name] = facts
        else:
            columns[same] = {**facts, **{k: v for k, v in columns[same].items() if v is not None}}
    keys = list(dict.fromkeys(key for facts in columns.values() for key in facts))
    rows = tuple(
        (_NAMES.get(key, key), *(_shown(key, facts.get(key)) for facts in columns.values()))
        for key in keys
    )
    names = ("all results",) if len(columns) == 1 else tuple(columns)
    return Table(headers=("", *names), rows=rows, words=True)


def _agree(known: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """What one of both doesn't know is no difference."""
    both = known.keys() & facts.keys()
    return all(known[k] == facts[k] or None in (known[k], facts[k]) for k in both)


def origins_table(results: Sequence[Result]) -> Table:
    """What was run when, and the seal."""
    rows = tuple(
        (
            result.name,
            str(result.environment["command"]),
            str(result.environment["time"]),
            _commit(result.environment),
            str(result.bundle["sha256"])[:12],
        )
        for result in results
    )
    headers = ("result", "command", "time", "commit", "sha256")
    return Table(headers=headers, rows=rows, words=True)


def _commit(environment: Mapping[str, Any]) -> str:
    commit = environment.get("commit")
    if commit is None:
        return UNKNOWN
    return str(commit)[:10] + (", edited" if environment.get("dirty") else "")


def _shown(key: str, value: Any) -> str:
    if value is None:
        return UNKNOWN
    if key == "memory_bytes":
        return f"{value / 2**30:,.1f} GiB"
    if isinstance(value, list):
        counted = {each: value.count(each) for each in value}
        return ", ".join(f"{count} x {each}" for each, count in counted.items()) or "none"
    return str(value)
