"""Check a shard directory: manifest, tables, tars and images, with a line for each finding."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.errors import DataError
from pipeline.progress import ProgressCallback
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import (
    TARGET_COMPONENTS,
    Split,
    index_name,
    samples_name,
    sources_name,
    submission_name,
)
from pipeline.text import plural
from tools.checking.files import check_hashes, check_manifest_text, check_names, check_rejected
from tools.checking.findings import Finding, Report
from tools.checking.images import ImageBlock, check_images, check_in_halves, image_blocks
from tools.checking.source_names import SourceNames
from tools.checking.submission import check_submission
from tools.checking.tables import (
    Tables,
    UnusableTableError,
    check_class_counts,
    check_counts,
    check_sizes,
    check_tables,
    open_tables,
)
from tools.checking.tar_layout import TarLayout
from tools.checking.tars import TarTask, check_tar, reject_tar
from tools.console import Output
from tools.workers import Workers
from tools.writing.block_encoding import prepare_worker


def check_shards(directory: Path, *, decode: bool, workers: int, limit: int) -> None:
    """Print every finding, up to `limit` lines; raises ``DataError`` if there is one. With `decode`
    every image and mask is decoded."""
    dataset = Dataset(directory)
    output = Output()
    report = Report(output.print, limit)
    try:
        _run(_Check(dataset, report), output, decode=decode, workers=workers)
    except OSError as error:
        path = error.filename or directory
        raise DataError(f"{path} can't be read: {error.strerror}.") from error
    report.close()
    splits = dataset.manifest.splits.values()
    samples = plural(sum(split.samples for split in splits), "sample")
    shards = plural(sum(len(split.shards) for split in splits), "shard")
    if report.count:
        raise DataError(
            f"{plural(report.count, 'finding')} in {plural(len(report.files), 'file')} of "
            f"{directory}, which has {samples} in {shards}. Copy those files again, or make the "
            f"shards again with tools/shard."
        )
    decoded = ", and every image can be decoded" if decode else ""
    output.print(f"{samples} in {shards} are intact{decoded}.")


def _run(check: "_Check", output: Output, *, decode: bool, workers: int) -> None:
    check.files()
    splits = check.manifest.splits.values()
    size_bytes = sum(shard.bytes for split in splits for shard in split.shards)
    with Workers(workers, prepare=prepare_worker) as pool:
        with output.progress("checking", size_bytes, unit="MB", scale=10**6) as advance:
            check.tars(pool, advance)
        if decode:
            count = sum(map(len, check.tables.values()))
            with output.progress("decoding", count, unit="images") as advance:
                check.images(pool, advance)


class _Check:
    """A check in progress: the usable tables, and the samples that are known to be damaged."""

    def __init__(self, dataset: Dataset, report: Report) -> None:
        self.manifest, self.tables = dataset.manifest, dict[str, Tables]()
        self._report, self._directory = report, dataset.directory
        self._sources = SourceNames(dataset.directory, self.manifest)
        self._flawed: dict[str, set[int]] = {}

    def files(self) -> None:
        """Check everything but the tars."""
        for check in (check_manifest_text, check_names, check_hashes, check_rejected):
            self._add(check(self._directory, self.manifest))
        for split in self.manifest.splits:
            self._check_tables(split)
        # If the tables have changed, a difference doesn't show that the manifest is wrong.
        indices = {self._name(samples_name(split)) for split in self.manifest.splits}
        changed = self._report.files & indices
        if len(self.tables) == len(self.manifest.splits) and not changed:
            for split, tables in self.tables.items():
                self._add(check_counts(split, tables, self.manifest))
            self._add(check_sizes(list(self.tables.values()), self.manifest))

    def tars(self, pool: Workers, advance: ProgressCallback) -> None:
        """Check every tar and its ``.idx``."""
        tasks = list(self._tar_tasks())
        names = {task.shard.sha256: task.shard.name for task in tasks}
        died = partial(reject_tar, reason="reading it crashes the process")
        results = pool.ordered(check_tar, tasks, rescue=died)
        for task, result in zip(tasks, results, strict=True):
            name = names.get(result.sha256, task.shard.name)
            if name == task.shard.name:
                self._add(result.findings, task.split)
            else:
                text = f"it holds {name}: they were swapped, or one was copied over the other"
                self._add([Finding(file=task.shard.name, text=text)])
            self._flawed.setdefault(task.split, set()).update(result.flawed)
            advance(task.shard.bytes)

    def images(self, pool: Workers, advance: ProgressCallback) -> None:
        """Check every image and mask that is not known to be damaged."""
        died = partial(check_in_halves, workers=pool)
        for split, tables in self.tables.items():
            counts = np.zeros(len(self.manifest.classes), np.int64)
            for result in pool.ordered(check_images, self._blocks(split, tables), rescue=died):
                self._add(result.findings, split)
                counts += result.class_counts
                advance(result.count)
            if tables.masks is not None and not self._flawed[split]:
                self._add(check_class_counts(split, counts, self.manifest))

    def _check_tables(self, split: str) -> None:
        if self._name(sources_name(split)) not in self._report.files:
            self._sources.open(split)
        try:
            tables = open_tables(self._directory, split, self.manifest)
        except UnusableTableError as error:
            self._add([Finding(file=error.file, text=str(error))])
            return
        self.tables[split] = tables
        self._add(check_tables(split, tables, self.manifest), split)
        self._add(self._sources.check(split, tables.samples["key"]), split)
        name = self._name(submission_name(split))
        if name in self.manifest.files and name not in self._report.files:
            self._add(check_submission(self._directory / name, tables.samples["key"]))

    def _name(self, table: str) -> str:
        return self.manifest.table_name(table)

    def _add(self, findings: Iterable[Finding], split: str = "") -> None:
        for finding in findings:
            self._report.add(finding, partial(self._sources.find, split))

    def _tar_tasks(self) -> Iterator[TarTask]:
        for name, split in self.manifest.splits.items():
            for shard, rows in zip(split.shards, shard_rows(split), strict=True):
                yield TarTask(
                    directory=self._directory,
                    split=name,
                    shard=shard,
                    index=self._name(samples_name(name)),
                    first=rows.start,
                    layout=self._layout(name, rows),
                    index_sha256=self.manifest.files.get(index_name(shard.name)),
                )

    def _layout(self, split: str, rows: slice) -> TarLayout | None:
        if split not in self.tables:
            return None
        return TarLayout(
            rows=self.tables[split].take(rows),
            target=TARGET_COMPONENTS[self.manifest.task],
            image_components=self.manifest.image_components,
            digits=self.manifest.label_digits,
        )

    def _blocks(self, name: str, tables: Tables) -> Iterator[ImageBlock]:
        split = self.manifest.splits[name]
        intact = np.ones(split.samples, np.bool_)
        intact[list(self._flawed[name])] = False
        for shard, rows in zip(split.shards, shard_rows(split), strict=True):
            numbers = np.flatnonzero(intact[rows]) + rows.start
            block = ImageBlock(
                directory=self._directory,
                shard=shard.name,
                numbers=numbers,
                rows=tables.take(numbers),
                classes=len(self.manifest.classes),
            )
            yield from image_blocks(block)


def shard_rows(split: Split) -> list[slice]:
    """The rows of the index of each shard."""
    ends = np.cumsum([0, *(shard.samples for shard in split.shards)]).tolist()
    return [slice(first, end) for first, end in pairwise(ends)]
