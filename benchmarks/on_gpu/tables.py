"""Markdown tables of the results, as in benchmarks/results/."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from benchmarks.measuring.text import figure
from benchmarks.on_gpu.part_process import PASSED, Ended

# Of the machine, in the first paragraph.
FACTS = ("gpus", "gpu_driver", "cpu", "cpus", "python", "torch", "torchvision", "commit")
# Entries of "figures" in the tables: header, factor, format.
FIGURES: Mapping[str, tuple[str, float, str]] = {
    "cpu_milliseconds": ("CPU ms an image", 1, ",.2f"),
    "images_per_cpu_second": ("images/CPU s", 1, ",.0f"),
    "cores_used": ("cores", 1, ".2f"),
    "cores_busy": ("cores", 1, ".2f"),
    "jpeg_decoder_use": ("GPU JPEG decoder", 1, ".0%"),
    "gpu_jpeg_decoder_use": ("GPU JPEG decoder", 1, ".0%"),
    "mean_difference": ("mean difference", 1, ".3f"),
    "largest_difference": ("largest", 1, ".0f"),
    "data_share": ("waiting for data", 1, ".1%"),
    "step_seconds": ("step, ms", 1e3, ",.1f"),
    "mfu": ("MFU", 1, ".1%"),
    "peak_memory_bytes": ("peak memory, GB", 1e-9, ",.2f"),
    "memory_bytes": ("memory, GB", 1e-9, ",.2f"),
}
_CELL_CHARACTERS = 160


def tables(results: Sequence[Ended]) -> str:
    """All tables: how each part ended, then what the parts measured. Results of the same title and
    unit share a table."""
    measured = [each.result for each in results if each.result is not None]
    paragraphs = [machine(measured), parts_table(results), findings(results)]
    with_rows = [result for result in measured if result.get("median")]
    for (title, unit), group in groupby(with_rows, lambda r: (r["benchmark"], r["unit"])):
        paragraphs.append(rows_table(str(title), str(unit), list(group)))
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def machine(results: Sequence[Mapping[str, Any]]) -> str:
    """Facts of the first result that has them."""
    environments = [result["environment"] for result in results if result.get("environment")]
    if not environments:
        return ""
    facts = {name: environments[0].get(name) for name in FACTS}
    texts = (", ".join(value) if isinstance(value, list) else value for value in facts.values())
    known = zip(facts, texts, strict=True)
    return "; ".join(f"{name}: {text}" for name, text in known if text) + "."


def parts_table(results: Sequence[Ended]) -> str:
    rows = [
        (
            each.part,
            each.device,
            each.outcome,
            f"{each.seconds:.0f}",
            f"{each.warnings:,}" if each.warnings else "",
            "" if each.outcome == PASSED and each.result else each.last_line,
        )
        for each in results
    ]
    return markdown(("part", "device", "outcome", "s", "warnings", "last line"), rows)


def findings(results: Sequence[Ended]) -> str:
    lines = [
        f"- {each.part}: {each.result['finding']}"
        for each in results
        if each.result is not None and each.result.get("finding")
    ]
    lines += [
        f"- {each.part}, a warning: {each.first_warning}" for each in results if each.warnings
    ]
    return "\n".join(lines)


def rows_table(title: str, unit: str, results: Sequence[Mapping[str, Any]]) -> str:
    """A row for each candidate of `results`, with its ratio to the first."""
    rows: dict[str, Sequence[float]] = {}
    figures: dict[str, Mapping[str, Any]] = {}
    for result in results:
        rows |= {name: values for name, values in result["values"].items() if values}
        figures |= figures_of(result)
    fields = [
        field for field in FIGURES if any(each.get(field) is not None for each in figures.values())
    ]
    headers = ("", f"{unit}, median", "range", "ratio", *(FIGURES[field][0] for field in fields))
    first = next(iter(rows.values()))
    lines = [
        (
            name,
            figure(statistics.median(values)),
            f"{figure(min(values))} to {figure(max(values))}",
            f"{statistics.median(values) / statistics.median(first):.3f}",
            *_cells(figures.get(name, {}), fields),
        )
        for name, values in rows.items()
    ]
    return f"## {title}\n\n{markdown(headers, lines)}"


def figures_of(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Row -> field -> value; benchmarks write "figures", or an entry for each field."""
    own = result.get("figures")
    if isinstance(own, Mapping):
        return {name: each for name, each in own.items() if isinstance(each, Mapping)}
    fields = [field for field in FIGURES if isinstance(result.get(field), Mapping)]
    return {name: {f: result[f].get(name) for f in fields} for name in result["values"]}


def _cells(figures: Mapping[str, Any], fields: Sequence[str]) -> Iterator[str]:
    for field in fields:
        _, factor, style = FIGURES[field]
        value = figures.get(field)
        yield "" if value is None else f"{factor * value:{style}}"


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text."""
    rules = ["---"] + ["---:"] * (len(headers) - 1)
    lines = [headers, rules, *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:_CELL_CHARACTERS]
