"""Is a shard directory what tools/shard wrote?

manifest -> tables -> tars, in worker processes -> images, likewise -> one line a finding
"""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import (
    TARGET_COMPONENTS,
    Manifest,
    Split,
    index_name,
    samples_name,
    sources_name,
)
from tools.checking.files import (
    check_form,
    check_names,
    check_rejected,
    check_sums,
)
from tools.checking.findings import Finding, Report
from tools.checking.images import ImageBlock, check_images, image_blocks, rescue
from tools.checking.opening import open_shards
from tools.checking.source_names import SourceNames
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
from tools.checking.tars import TarTask, check_tar, unreadable
from tools.console import Output, ProgressCallback
from tools.text import plural
from tools.workers import Workers
from tools.writing.block_encoding import prepare_worker


def check_shards(directory: Path, *, decode: bool, workers: int, limit: int) -> None:
    """Say everything that is wrong, up to `limit` lines, and raise ``DataError`` if something is.

    `decode`: decode every image and mask, too.
    """
    dataset = open_shards(directory)
    output = Output()
    check = _Check(dataset, Report(output.print, limit))
    try:
        _run(check, dataset.manifest, output, decode=decode, workers=workers)
    except OSError as error:
        where = error.filename or directory
        raise DataError(f"{where} can't be read: {error.strerror}.") from error
    check.report.close()
    splits = dataset.manifest.splits.values()
    samples = plural(sum(split.samples for split in splits), "sample")
    shards = plural(sum(len(split.shards) for split in splits), "shard")
    if check.report.count:
        raise DataError(
            f"{plural(check.report.count, 'finding')} in {plural(len(check.report.files), 'file')} "
            f"of {directory}, which has {samples} in {shards}. Copy those files again, or make the "
            f"shards again with tools/shard."
        )
    output.print(
        f"{samples} in {shards} are what tools/shard wrote"
        + (", and every image can be decoded." if decode else ".")
    )


def _run(
    check: "_Check", manifest: Manifest, output: Output, *, decode: bool, workers: int
) -> None:
    check.files()
    size_bytes = sum(shard.bytes for split in manifest.splits.values() for shard in split.shards)
    with Workers(workers, prepare=prepare_worker) as crew:
        with output.progress("checking", size_bytes, unit="MB", scale=10**6) as advance:
            check.tars(crew, advance)
        if decode:
            count = sum(map(len, check.tables.values()))
            with output.progress("decoding", count, unit="images") as advance:
                check.images(crew, advance)


class _Check:
    """A check under way: the tables that can be used, and the samples that are known to be bad."""

    def __init__(self, dataset: Dataset, report: Report) -> None:
        self.report, self.tables = report, dict[str, Tables]()
        self._dataset, self._manifest = dataset, dataset.manifest
        self._directory = dataset.directory
        self._sources = SourceNames(dataset.directory)
        self._flawed: dict[str, set[int]] = {}

    def files(self) -> None:
        """Everything but the tars."""
        directory, manifest = self._directory, self._manifest
        for findings in (
            check_form(directory, manifest),
            check_names(directory, manifest),
            check_sums(directory, manifest),
            check_rejected(directory, manifest),
        ):
            self._add(findings)
        for split in manifest.splits:
            self._split_tables(split)
        # Where the tables are not what they were, the manifest is not to blame.
        doubtful = self.report.files & {samples_name(split) for split in manifest.splits}
        if len(self.tables) == len(manifest.splits) and not doubtful:
            for split, tables in self.tables.items():
                self._add(check_counts(split, tables, manifest))
            self._add(check_sizes(list(self.tables.values()), manifest))

    def tars(self, crew: Workers, advance: ProgressCallback) -> None:
        """Every tar and its ``.idx``."""
        tasks = list(self._tar_tasks())
        names = {task.shard.sha256: task.shard.name for task in tasks}
        died = partial(unreadable, reason="reading it kills the process")
        results = crew.ordered(check_tar, tasks, rescue=died)
        for task, result in zip(tasks, results, strict=True):
            other = names.get(result.sha256, task.shard.name)
            if other == task.shard.name:
                self._add(result.findings, task.split)
            else:
                text = f"it holds {other}: they were swapped, or one was copied over the other"
                self._add([Finding(file=task.shard.name, text=text)])
            self._flawed.setdefault(task.split, set()).update(result.flawed)
            advance(task.shard.bytes)

    def images(self, crew: Workers, advance: ProgressCallback) -> None:
        """Every image and mask that is not known to be bad."""
        died = partial(rescue, workers=crew)
        for split, tables in self.tables.items():
            shown = np.zeros(len(self._manifest.classes), np.int64)
            for result in crew.ordered(check_images, self._blocks(split, tables), rescue=died):
                self._add(result.findings, split)
                shown += result.shown
                advance(result.count)
            if tables.masks is not None and not self._flawed[split]:
                self._add(check_class_counts(split, shown, self._manifest))

    def _split_tables(self, split: str) -> None:
        if sources_name(split) not in self.report.files:
            self._sources.open(split)
        try:
            tables = open_tables(self._directory, split, self._manifest)
        except UnusableTableError as error:
            self._add([Finding(file=error.file, text=str(error))])
            return
        self.tables[split] = tables
        self._add(check_tables(split, tables, self._manifest), split)
        self._add(self._sources.check(split, tables.samples["key"]), split)

    def _add(self, findings: Iterable[Finding], split: str = "") -> None:
        for finding in findings:
            self.report.add(finding, partial(self._sources.find, split))

    def _tar_tasks(self) -> Iterator[TarTask]:
        manifest = self._manifest
        for name, split in manifest.splits.items():
            for shard, rows in zip(split.shards, shard_rows(split), strict=True):
                layout = None
                if name in self.tables:
                    layout = TarLayout(
                        rows=self.tables[name].take(rows),
                        target=TARGET_COMPONENTS[manifest.task],
                        image_components=manifest.image_components,
                        digits=len(str(max(len(manifest.classes) - 1, 0))),
                    )
                yield TarTask(
                    directory=self._directory,
                    split=name,
                    shard=shard,
                    first=rows.start,
                    layout=layout,
                    index_sha256=manifest.files.get(index_name(shard.name)),
                )

    def _blocks(self, name: str, tables: Tables) -> Iterator[ImageBlock]:
        split = self._manifest.splits[name]
        sound = np.ones(split.samples, np.bool_)
        sound[list(self._flawed[name])] = False
        for shard, rows in zip(split.shards, shard_rows(split), strict=True):
            places = np.flatnonzero(sound[rows]) + rows.start
            yield from image_blocks(
                ImageBlock(
                    directory=self._directory,
                    shard=shard.name,
                    places=places,
                    rows=tables.take(places),
                    classes=len(self._manifest.classes),
                )
            )


def shard_rows(split: Split) -> list[slice]:
    """The rows of the index that are in each shard."""
    ends = np.cumsum([0, *(shard.samples for shard in split.shards)]).tolist()
    return [slice(first, end) for first, end in pairwise(ends)]
