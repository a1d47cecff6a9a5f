"""What test.submission.parquet and test.sources.parquet say."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

from pipeline.storage.manifest import sources_name, submission_name
from tools.config import ShardConfig
from tools.download.file_index import index_files
from tools.download.sources import Sources
from tools.download.submission_rows import SubmissionRows
from tools.readings.asked_rows import match_tests
from tools.readings.detect import collect, detect
from tools.writing.plan import make_plan
from tools.writing.splits import TEST


@dataclass(frozen=True)
class Stored:
    """The columns with their names, without the keys; for each row the source that it asks for,
    None without one; the table and the column of ids; the id of each source of split test."""

    columns: list[str]
    rows: list[list[str]]
    sources: list[str | None]
    table: str
    id_column: int
    ids: dict[str, str]

    @property
    def csv(self) -> str:
        return csv_text(self.columns, *self.rows)


def csv_text(*rows: Sequence[object]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def asked(src: Path, **options: Any) -> tuple[Sources, SubmissionRows | None]:
    """What a run would store for a download of image files."""
    config = ShardConfig(src=str(src), out=str(src / "out"), **options)
    index = index_files(str(src))
    detection = detect(index, config)
    sources = collect(index, detection)
    plan = make_plan(sources, val=None, seed=0, unlabeled=config.unlabeled)
    return match_tests(detection, index, sources, plan.choice.splits == TEST, config)


def names_of(sources: Sources, rows: SubmissionRows) -> list[str | None]:
    """The source that each row asks for; None without one."""
    return [None if number < 0 else sources.names[number] for number in rows.sources.tolist()]


def read_submission(shards: Path) -> Stored:
    table = parquet.ParquetFile(shards / submission_name("test")).read()
    assert table.schema.names[0] == "key" and set(map(str, table.schema.types)) == {"string"}
    origins = parquet.read_table(shards / sources_name("test")).to_pydict()
    source_of = dict(zip(origins["key"], origins["source"], strict=True))
    keys, *columns = (column.to_pylist() for column in table.columns)
    metadata = {name.decode(): text.decode() for name, text in table.schema.metadata.items()}
    assert metadata.keys() == {"table", "id_column"}
    return Stored(
        columns=table.schema.names[1:],
        rows=[list(row) for row in zip(*columns, strict=True)],
        sources=[None if key is None else source_of[key] for key in keys],
        table=metadata["table"],
        id_column=int(metadata["id_column"]),
        ids=dict(zip(origins["source"], origins["id"], strict=True)),
    )
