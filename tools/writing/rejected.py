"""The table of rejected sources, rejected.csv."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.natural_order import natural_key
from pipeline.printable import defused, printable
from tools.writing.shard_file import ShardRecord
from tools.writing.shard_plan import ShardPlan


def list_rejected(shard_plan: ShardPlan, records: Sequence[ShardRecord]) -> list[tuple[str, str]]:
    """Name and reason of every rejected source."""
    rejected = list(shard_plan.sources.rejected)
    for record in records:
        rejected += [(shard_plan.name(record.split, key), why) for key, why in record.rejected]
    return rejected


def write_rejected(path: Path, rejected: Iterable[tuple[str, str]]) -> None:
    """Write rejected.csv, sorted by name."""
    rows = sorted((natural_key(source), source, reason) for source, reason in rejected)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("source", "reason"))
        writer.writerows(defused(map(printable, row[1:])) for row in rows)
