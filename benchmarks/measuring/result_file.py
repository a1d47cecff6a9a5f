"""Results of benchmarks: one JSON object, with a hash that reveals later edits.

    format, version   FORMAT, VERSION
    kind              the command that measured: one of KINDS, or another name
    benchmark         title
    finding           conclusion, in one sentence
    unit              of the figures in `median`, `interval` and `values`
    median            row -> figure
    interval          row -> [low, high], which hold the median with `confidence`
    confidence        row -> at least 0.95, lower with fewer than 6 runs
    spread            row -> (highest - lowest) / median
    values            row -> the figure of each run in order, without the warm-up
    rows              row -> what was measured, by field: {"batch_size": 64, ...}
    environment       machine, versions, command, commit: ``provenance.environment``
    sha256            of the canonical text of all other entries, in hex

A benchmark adds entries of its own (settings, further figures). ``null`` means unknown.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from benchmarks.measuring.entries import errors_of, from_json
from pipeline.console import is_terminal, print_json
from pipeline.errors import DataError

FORMAT = "shardline measurement"
VERSION = 2

BY_STAGE, SWEEP, COMPUTE, SCALING, TRAININGS, PREDICTION, STUDY = KINDS = (
    *("bench-loader", "bench-loader --sweep", "bench-compute"),
    *("bench-scaling", "bench-scaling --to-end", "bench-predict", "bench-study"),
)
ANOTHER = "another benchmark"
# Version 1 has no kind: entries that only this benchmark has among those after it in this order.
_VERSION_1_MARKS = {
    STUDY: {"configurations"},
    SCALING: {"points"},
    TRAININGS: {"trainings"},
    PREDICTION: {"predictions"},
    COMPUTE: {"world_size", "figures"},
    BY_STAGE: {"share_of_time", "threads"},
    SWEEP: {"split_bytes", "threads"},
}


def seal(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The result with `facts`, as JSON returns it, and its hash.

    Raises ``ValueError`` for NaN and infinity.
    """
    entries = {"format": FORMAT, "version": VERSION, **facts}
    bundle: dict[str, Any] = json.loads(json.dumps(entries, allow_nan=False))
    return {**bundle, "sha256": _sha256(bundle)}


def verify(bundle: Mapping[str, Any], origin: str | Path) -> None:
    """Raise ``DataError``, which names `origin`, if the result is of another format or its hash is
    wrong."""
    if bundle.get("format") != FORMAT:
        raise DataError(f"{origin} is not a result of a benchmark: its format is not {FORMAT!r}.")
    if bundle.get("version") not in (1, VERSION):
        raise DataError(
            f"{origin} has version {bundle.get('version')!r}, but this shardline reads versions 1 "
            f"and {VERSION}: measure again."
        )
    content = {name: value for name, value in bundle.items() if name != "sha256"}
    if bundle.get("sha256") != _sha256(content):
        raise DataError(
            f"{origin} was edited or damaged after it was measured: its sha256 does not match its "
            f"content. Measure again, or get the original."
        )


def read_bundle(path: Path) -> dict[str, Any]:
    """Read and verify the result in a file that a benchmark wrote by --output, or in a log, whose
    last line it is. Raises ``DataError``."""
    try:
        lines = path.read_text().strip().splitlines() or [""]
        bundle = json.loads(lines[-1])
    except OSError as error:
        raise DataError(
            f"{path} can't be read ({error.strerror}): give a file that a benchmark wrote by "
            f"--output."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not a result of a benchmark: its last line is not JSON."
        ) from error
    if not isinstance(bundle, dict):
        raise DataError(f"{path} is not a result of a benchmark: it is not a JSON object.")
    verify(bundle, path)
    if bundle["version"] == 1:
        with errors_of(path):
            bundle = _from_version_1(bundle)
    bundle = {"kind": ANOTHER, "rows": {}, **bundle}
    with errors_of(path):
        from_json(str, bundle["kind"], "kind")
    return bundle


def _from_version_1(bundle: Mapping[str, Any]) -> dict[str, Any]:
    """Add kind and rows; bench-compute named its rows "channels-last, batch 64"."""
    marks = _VERSION_1_MARKS.items()
    kind = next((kind for kind, entries in marks if entries <= bundle.keys()), ANOTHER)
    rows: dict[str, Any] = {}
    if kind == COMPUTE:
        for row in from_json(Mapping[str, float], bundle.get("median"), "median"):
            mode, _, batch_size = row.partition(", batch ")
            rows[row] = {"mode": mode, "batch_size": int(batch_size) if batch_size.isdigit() else 0}
    return {**bundle, "kind": kind, "rows": rows}


def publish(facts: Mapping[str, Any], output: str | None) -> None:
    """Print the result with `facts` as one line of JSON, unless stdout is a terminal, and write it
    to the file `output`.

    Raises ``DataError`` if the file can't be written; then a terminal's result is in a temporary
    file.
    """
    result = seal(facts)
    print_json(result)
    if output is None:
        return
    try:
        Path(output).parent.mkdir(parents=True, exist_ok=True)
        Path(output).write_text(json.dumps(result) + "\n")
    except OSError as error:
        where = "the line of JSON above is the result"
        if is_terminal(sys.stdout):
            with NamedTemporaryFile("w", suffix=".json", delete=False) as file:
                file.write(json.dumps(result) + "\n")
            where = f"the result is in {file.name}"
        raise DataError(f"{output} can't be written ({error.strerror}): {where}.") from error


def _sha256(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
