"""A sentence about the rows of the sample submission that shards have."""

from collections.abc import Iterator

from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import submission_name
from pipeline.text import plural
from tools.checking.submission import read_submission


def describe_submissions(dataset: Dataset) -> Iterator[str]:
    """The number of rows, and of those that ask for no stored sample."""
    for split in dataset.manifest.splits:
        file = dataset.manifest.table_name(submission_name(split))
        if file not in dataset.manifest.files:
            continue
        table = read_submission(dataset.directory / file)
        if isinstance(table, str):
            yield f"{file}: {table}."
            continue
        name = (table.schema.metadata or {}).get(b"table", b"a sample submission").decode()
        missing = table.column(0).null_count if table.num_columns else 0
        without = f", {missing:,} of them without a sample" if missing else ""
        yield f"Submission: {plural(len(table), 'row')} of {name}{without}."
