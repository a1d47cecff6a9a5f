"""Tars against the index: every byte is accounted for, and what differs has a name. Runs in worker
processes."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.manifest import Shard, index_name, samples_name
from tools.checking.findings import Finding, gathered
from tools.checking.tar_flaws import find_flaw, first_difference, header_name
from tools.checking.tar_layout import TarLayout
from tools.text import plural
from tools.writing.tar import BLOCK_BYTES, END


@dataclass(frozen=True, kw_only=True)
class TarTask:
    """A shard to check: `layout` is what the index says of it, None where the index can't be used,
    and `first` the row of its first sample there."""

    directory: Path
    split: str
    shard: Shard
    first: int
    layout: TarLayout | None
    index_sha256: str | None


@dataclass(frozen=True, kw_only=True)
class TarResult:
    """`flawed`: rows of the index whose samples are not what they should be."""

    sha256: str
    findings: tuple[Finding, ...]
    flawed: frozenset[int]


def check_tar(task: TarTask) -> TarResult:
    """Everything that is wrong with the tar and with its ``.idx``."""
    name = task.shard.name
    try:
        with (task.directory / name).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            if task.layout is None:
                return _by_sum(task, sha256)
            return _Tar(task, task.layout, file.fileno(), sha256).check()
    except OSError as error:
        return unreadable(task, f"it can't be read ({error.strerror})")


def unreadable(task: TarTask, reason: str) -> TarResult:
    """The result where nothing of a tar can be used."""
    every = frozenset(range(task.first, task.first + task.shard.samples))
    findings = (Finding(file=task.shard.name, text=reason),)
    return TarResult(sha256="", findings=findings, flawed=every)


def _by_sum(task: TarTask, sha256: str) -> TarResult:
    if sha256 == task.shard.sha256:
        return TarResult(sha256=sha256, findings=(), flawed=frozenset())
    return unreadable(task, "its sha256 is not the one in dataset.json")


class _Tar:
    """An open tar."""

    def __init__(self, task: TarTask, layout: TarLayout, file: int, sha256: str) -> None:
        self._task, self._layout, self._file, self._sha256 = task, layout, file, sha256
        self._intact = sha256 == task.shard.sha256
        self._size_bytes = os.fstat(file).st_size
        self._begins, self._ends = layout.begins, layout.ends
        # What is as it was written is not to blame for a disagreement.
        self._blamed = samples_name(task.split) if self._intact else task.shard.name
        self._components: list[str] = []

    def check(self) -> TarResult:
        flaws = list(self._flaws())
        findings = [*self._size(), *gathered(flaws, len(self._begins))]
        findings += self._rest() if not findings else []
        if not findings and not self._intact:
            text = "its sha256 is not the one in dataset.json, but all in it is as the index says"
            findings.append(self._finding(text))
        findings += self._index(disagreed=bool(findings))
        rows = {finding.row for finding in flaws if finding.row is not None}
        lost = np.flatnonzero(self._lost) + self._task.first
        return TarResult(
            sha256=self._sha256, findings=tuple(findings), flawed=frozenset(rows | {*lost.tolist()})
        )

    @property
    def _lost(self) -> NDArray[np.bool_]:
        """Samples behind the end of a tar that was cut off."""
        cut = self._size_bytes < self._task.shard.bytes
        return (self._begins >= 0) & (self._ends > self._size_bytes) & cut

    def _flaws(self) -> Iterator[Finding]:
        """One finding for each sample that is not in the tar as the index says."""
        lost = self._lost
        for row, (target, images) in enumerate(self._layout.members()):
            begin, end = int(self._begins[row]), int(self._ends[row])
            component, flaw = self._layout.image_components[0], None
            if begin >= 0 and end <= self._size_bytes:
                data = os.pread(self._file, end - begin, begin)
                component = self._component(row, data, component)
                flaw = find_flaw(data, begin, (target, images[component]))
            elif not lost[row]:
                flaw = f"it should lie at bytes {begin:,} to {end:,}, outside of the tar"
            self._components.append(component)
            if flaw:
                yield self._finding(flaw, row)

    def _component(self, row: int, data: bytes, default: str) -> str:
        """What the name in the image's header ends with, if that is one of the manifest's."""
        header = int(self._layout.offsets[row] - self._begins[row]) - BLOCK_BYTES
        _, _, found = header_name(data[header:]).partition(".")
        return found if found in self._layout.image_components else default

    def _size(self) -> Iterator[Finding]:
        stated = self._task.shard.bytes
        if self._size_bytes != stated:
            text = f"the tar is {self._size_bytes:,} bytes long, dataset.json says {stated:,}"
            lost = np.flatnonzero(self._lost)
            if len(lost):
                text += f"; {plural(len(lost), 'sample')}, from this one on, are cut off"
            yield self._finding(text, int(lost[0]) if len(lost) else None)

    def _rest(self) -> Iterator[Finding]:
        """Bytes that belong to no sample, and the end of the tar."""
        begins, ends = self._begins, self._ends
        for row in np.flatnonzero(begins != np.concatenate([[0], ends[:-1]])).tolist():
            yield self._finding("it doesn't begin where the sample before it ends", row)
        end = int(ends[-1]) if len(ends) else 0
        tail = os.pread(self._file, self._size_bytes - end, end)
        if tail != END:
            where = end + first_difference(tail, END)
            yield self._finding(f"behind the last sample, byte {where:,} is not the end of a tar")

    def _index(self, *, disagreed: bool) -> Iterator[Finding]:
        """The tar's ``.idx``, which follows from the same rows."""
        name = index_name(self._task.shard.name)
        try:
            found = (self._task.directory / name).read_bytes()
        except OSError as error:
            yield Finding(file=name, text=f"it can't be read ({error.strerror})")
            return
        intact = hashlib.sha256(found).hexdigest() == self._task.index_sha256
        if intact and disagreed:
            return
        expected = self._layout.index_text(self._components).split("\n")
        lines = zip_longest(found.decode(errors="replace").split("\n"), expected)
        for number, (line, wanted) in enumerate(lines, start=1):
            if line != wanted:
                text = f"its line {number:,} is {_quoted(line)}, the index says {_quoted(wanted)}"
                yield Finding(file=name, text=text)
                return
        if not intact:
            yield Finding(file=name, text="its sha256 is not the one in dataset.json")

    def _finding(self, text: str, row: int | None = None) -> Finding:
        if row is None:
            return Finding(file=self._blamed, text=text)
        key = int(self._layout.keys[row])
        return Finding(file=self._blamed, text=text, row=self._task.first + row, key=key)


def _quoted(line: str | None) -> str:
    return "missing" if line is None else repr(line)
