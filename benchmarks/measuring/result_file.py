"""Results as they are kept: one JSON object, sealed by a hash so that an edited one is noticed.

    format, version   FORMAT, VERSION
    kind              the command that measured: one of KINDS, or another name
    benchmark         what was measured, for people
    finding           what came out, in one sentence
    unit              of the figures in `median`, `interval` and `values`
    median            contender -> figure
    interval          contender -> [low, high], which hold the median with `confidence`
    confidence        contender -> at least 0.95, less where there were fewer than 6 runs
    spread            contender -> (highest - lowest) / median
    values            contender -> the raw figure of each run in order, warm-up dropped
    rows              contender -> what was measured, by field: {"batch_size": 64, ...}
    environment       machine, versions, command, commit: ``provenance.environment``
    sha256            in hex, of the canonical text of all the rest

Whatever else a benchmark states (settings, further figures, what the rows mean) stands beside these
under names of its own. ``null`` is what can't be known.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import DataError

FORMAT = "shardline measurement"
VERSION = 2

BY_STAGE, SWEEP, COMPUTE, SCALING, TRAININGS, PREDICTION, STUDY = KINDS = (
    *("bench-loader", "bench-loader --sweep", "bench-compute"),
    *("bench-scaling", "bench-scaling --to-end", "bench-predict", "bench-study"),
)
ANOTHER = "another benchmark"
# Version 1 didn't say its kind: what that benchmark states, but none of those after it.
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
    """The bundle of `facts`, as it reads when it comes back from JSON.

    Raises ``ValueError`` for a figure that is no number.
    """
    stated = {"format": FORMAT, "version": VERSION, **facts}
    bundle: dict[str, Any] = json.loads(json.dumps(stated, allow_nan=False))
    return {**bundle, "sha256": _sha256(bundle)}


def verify(bundle: Mapping[str, Any], origin: str | Path) -> None:
    """Raise ``DataError``, which names `origin`, unless the bundle is as it was sealed."""
    if bundle.get("format") != FORMAT:
        raise DataError(f"{origin} is no result of a benchmark: it doesn't say {FORMAT!r}.")
    if bundle.get("version") not in (1, VERSION):
        raise DataError(
            f"{origin} is of version {bundle.get('version')!r}, this shardline reads "
            f"versions 1 and {VERSION}: measure again."
        )
    content = {name: value for name, value in bundle.items() if name != "sha256"}
    if bundle.get("sha256") != _sha256(content):
        raise DataError(
            f"{origin} was edited or damaged after it was measured: its content doesn't give the "
            f"sha256 that it states. Measure again, or get the original."
        )


def read_bundle(path: Path) -> dict[str, Any]:
    """The bundle in a file, or in the last line of what a benchmark printed, verified.

    Raises ``DataError``.
    """
    try:
        lines = path.read_text().strip().splitlines() or [""]
        bundle = json.loads(lines[-1])
    except OSError as error:
        raise DataError(
            f"{path} can't be read ({error.strerror}): give a file that a benchmark wrote by its "
            f"--output."
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is no result of a benchmark: its last line is no JSON.") from error
    if not isinstance(bundle, dict):
        raise DataError(f"{path} is no result of a benchmark: it holds no JSON object.")
    verify(bundle, path)
    if bundle["version"] == 1:
        bundle = _from_version_1(bundle)
    return {"kind": ANOTHER, "rows": {}, **bundle}


def _from_version_1(bundle: Mapping[str, Any]) -> dict[str, Any]:
    """With kind and rows, which version 2 states. Rows of bench-compute were called
    "channels-last, batch 64"."""
    marks = _VERSION_1_MARKS.items()
    kind = next((kind for kind, own in marks if own <= bundle.keys()), ANOTHER)
    rows: dict[str, Any] = {}
    if kind == COMPUTE:
        for row in bundle["median"]:
            mode, _, batch_size = row.partition(", batch ")
            rows[row] = {"mode": mode, "batch_size": int(batch_size)}
    return {**bundle, "kind": kind, "rows": rows}


def publish(facts: Mapping[str, Any], output: str | None) -> None:
    """Print the bundle of `facts` as one line, and write it to the file `output`."""
    line = json.dumps(seal(facts))
    print(line, flush=True)
    if output is None:
        return
    try:
        Path(output).parent.mkdir(parents=True, exist_ok=True)
        Path(output).write_text(line + "\n")
    except OSError as error:
        raise DataError(
            f"{output} can't be written ({error.strerror}); the result is the line of JSON above."
        ) from error


def _sha256(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
