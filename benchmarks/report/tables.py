"""Tables of a report: figures, the machine, and the origin of each result."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from benchmarks.measuring.text import figure
from benchmarks.report.inputs import Result
from benchmarks.report.page import Table, build_table
from benchmarks.report.prediction import predicted_sizes
from pipeline.duration_text import clock
from trainer.tasks.metric_names import METRIC_NAMES

# Facts of a result, not of the machine.
_OF_RESULT = ("command", "time", "commit", "dirty", "load_before")
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
    """Every row of a result, with its interval, spread and number of repetitions."""
    bundle = result.bundle
    return build_table(
        result.median,
        {
            "": str,
            f"median, {bundle['unit']}": lambda row: figure(result.median[row]),
            "interval of the median": lambda row: " to ".join(map(figure, result.span(row))),
            "spread": lambda row: f"{bundle['spread'][row]:.1%}",
            "repetitions": lambda row: str(len(bundle["values"][row])),
        },
    )


def predictions_table(result: Result) -> Table:
    return build_table(
        predicted_sizes(result.bundle),
        {
            "ranks": lambda size: f"{size['ranks']:,}",
            "images/s": lambda size: figure(size["images_per_second"]),
            "efficiency": lambda size: f"{size['efficiency']:.1%}",
            "first limit": itemgetter("limit"),
            "all-reduce, ms": lambda size: f"{1e3 * size['all_reduce_seconds']:,.1f}",
            "exposed, ms": lambda size: f"{1e3 * size['exposed_seconds']:,.1f}",
        },
    )


def checks_table(result: Result) -> Table:
    """Predictions compared with measurements."""
    return build_table(
        result.bundle["checks"],
        {
            "ranks": lambda check: f"{check['ranks']:,}",
            "batches": lambda check: "from files" if check["fed"] else "synthetic",
            "predicted, images/s": lambda check: figure(check["predicted"]),
            "measured, images/s": lambda check: figure(check["measured"]),
            "error": lambda check: f"{check['error']:+.1%}",
        },
    )


def trainings_table(result: Result) -> Table:
    trainings = result.bundle["trainings"]
    rows = zip(result.median, trainings, strict=True)
    return build_table(
        [{**training, "name": name} for name, training in rows],
        {
            "": itemgetter("name"),
            "global batch size": lambda row: f"{row['global_batch_size']:,}",
            **training_columns(trainings[0]["metric"], final="final"),
        },
    )


def training_columns(metric: str, *, final: str) -> dict[str, Callable[[Any], str]]:
    """Columns of records of trainings, whose last score is in the field `final`."""
    name, style = METRIC_NAMES[metric]

    def score(value: float | None) -> str:
        return UNKNOWN if value is None else format(value, style)

    return {
        "wall time": lambda row: clock(row["seconds"]),
        "epochs": lambda row: f"{row['epochs']:.2f}",
        "images/s": lambda row: figure(row["images_per_second"]),
        f"final {name}": lambda row: score(row[final]),
        f"best {name}": lambda row: score(row["best"]),
    }


def machine_table(results: Sequence[Result]) -> Table:
    """Machine and versions: a column for each machine or set of versions."""
    columns: dict[str, Mapping[str, Any]] = {}
    for result in results:
        facts = {key: value for key, value in result.environment.items() if key not in _OF_RESULT}
        same = next((name for name, column in columns.items() if _agree(column, facts)), None)
        if same is None:
            columns[result.name] = facts
        else:
            columns[same] = {**facts, **{k: v for k, v in columns[same].items() if v is not None}}
    keys = dict.fromkeys(key for facts in columns.values() for key in facts)
    rows = [
        (_NAMES.get(key, key), *(_fact(key, facts.get(key)) for facts in columns.values()))
        for key in keys
    ]
    names = ["all results"] if len(columns) == 1 else columns
    return Table(headers=["", *names], rows=rows, words=True)


def _agree(column: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether all facts are equal that both know."""
    both = column.keys() & facts.keys()
    return all(column[k] == facts[k] or None in (column[k], facts[k]) for k in both)


def origins_table(results: Sequence[Result]) -> Table:
    """Command, time, commit and hash of each result."""
    return build_table(
        results,
        {
            "result": lambda result: result.name,
            "command": lambda result: str(result.environment["command"]),
            "time": lambda result: str(result.environment["time"]),
            "commit": lambda result: _commit(result.environment),
            "sha256": lambda result: str(result.bundle["sha256"])[:12],
        },
        words=True,
    )


def _commit(environment: Mapping[str, Any]) -> str:
    commit = environment.get("commit")
    if commit is None:
        return UNKNOWN
    return str(commit)[:10] + (", edited" if environment.get("dirty") else "")


def _fact(key: str, value: Any) -> str:
    if value is None:
        return UNKNOWN
    if key == "memory_bytes":
        return f"{value / 2**30:,.1f} GiB"
    if isinstance(value, list):
        counts = {name: value.count(name) for name in value}
        return ", ".join(f"{count} x {name}" for name, count in counts.items()) or "none"
    return str(value)
