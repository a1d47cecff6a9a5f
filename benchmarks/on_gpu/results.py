"""results.jsonl, a line for each part that ended, and the log of all parts."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from benchmarks.measuring.entries import from_json
from benchmarks.on_gpu.part_process import Ended, Log
from benchmarks.on_gpu.parts import PARTS
from pipeline.errors import DataError

RESULTS_NAME, LOG_NAME, TABLES_NAME = "results.jsonl", "parts.log", "tables.md"


def append(out: Path, ended: Ended, log: Log | None = None) -> None:
    """Append a part's line, on the disk when this returns, and its log."""
    with (out / RESULTS_NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(ended)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    if log is not None:
        with (out / LOG_NAME).open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in (f"== {ended.part}", *log.lines, ""))


def read(out: Path) -> list[Ended]:
    """The last line of each part, in the order of the parts; lines that a kill cut are ignored."""
    try:
        lines = (out / RESULTS_NAME).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    by_part = {}
    for line in lines:
        try:
            ended = from_json(Ended, json.loads(line))
        except (ValueError, DataError):
            continue
        by_part[ended.part] = ended
    order = [part.name for part in PARTS]
    known = [name for name in order if name in by_part]
    return [by_part[name] for name in dict.fromkeys([*known, *by_part])]
