"""Compare tars with the index, byte for byte. Runs in worker processes."""

import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.manifest import MANIFEST_NAME, Shard, index_name
from pipeline.text import plural
from tools.checking.findings import Finding, merge_findings
from tools.checking.tar_layout import Member, TarLayout
from tools.writing.tar import BLOCK_BYTES, END, padding

_NAME_BYTES = 100
# Contents of at most this many bytes are shown.
_SHOWN_BYTES = 20
_WRONG_HASH = f"its sha256 differs from that in {MANIFEST_NAME}"


@dataclass(frozen=True, kw_only=True)
class TarTask:
    """A shard to check: its expected `layout`, None if the index can't be used, and the row `first`
    of its first sample in the file `index`."""

    directory: Path
    split: str
    shard: Shard
    index: str
    first: int
    layout: TarLayout | None
    index_sha256: str | None


@dataclass(frozen=True, kw_only=True)
class TarResult:
    """`flawed`: rows of the index whose samples differ."""

    sha256: str
    findings: tuple[Finding, ...]
    flawed: frozenset[int]


def check_tar(task: TarTask) -> TarResult:
    """Compare a tar and its ``.idx`` with the index."""
    try:
        with (task.directory / task.shard.name).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            if task.layout is not None:
                return _TarCheck(task, task.layout, file.fileno(), sha256).run()
            if sha256 == task.shard.sha256:
                return TarResult(sha256=sha256, findings=(), flawed=frozenset())
            return reject_tar(task, _WRONG_HASH)
    except OSError as error:
        return reject_tar(task, f"it can't be read ({error.strerror})")


def reject_tar(task: TarTask, reason: str) -> TarResult:
    """The result if no sample of a tar can be used."""
    rows = frozenset(range(task.first, task.first + task.shard.samples))
    findings = (Finding(file=task.shard.name, text=reason),)
    return TarResult(sha256="", findings=findings, flawed=rows)


class _TarCheck:
    """The check of an open tar."""

    def __init__(self, task: TarTask, layout: TarLayout, file: int, sha256: str) -> None:
        self._task, self._layout, self._file, self._sha256 = task, layout, file, sha256
        self._intact = sha256 == task.shard.sha256
        self._size_bytes = os.fstat(file).st_size
        self._starts, self._ends = layout.starts, layout.ends
        # If the tar is intact, the index must be wrong.
        self._file_at_fault = task.index if self._intact else task.shard.name
        self._components: list[str] = []

    def run(self) -> TarResult:
        flaws = list(self._check_samples())
        findings = [*self._check_size(), *merge_findings(flaws, len(self._starts))]
        findings += self._check_gaps() if not findings else []
        if not findings and not self._intact:
            findings.append(self._finding(f"{_WRONG_HASH}, although its contents match the index"))
        findings += self._check_idx(disagreed=bool(findings))
        rows = {finding.row for finding in flaws if finding.row is not None}
        cut = np.flatnonzero(self._cut_off) + self._task.first
        return TarResult(
            sha256=self._sha256, findings=tuple(findings), flawed=frozenset(rows | {*cut.tolist()})
        )

    @property
    def _cut_off(self) -> NDArray[np.bool_]:
        """Samples beyond the end of a truncated tar."""
        truncated = self._size_bytes < self._task.shard.bytes
        return (self._starts >= 0) & (self._ends > self._size_bytes) & truncated

    def _check_samples(self) -> Iterator[Finding]:
        """One finding for each sample that differs."""
        cut_off = self._cut_off
        for row, (target, images) in enumerate(self._layout.members()):
            start, end = int(self._starts[row]), int(self._ends[row])
            component, flaw = self._layout.image_components[0], None
            if start >= 0 and end <= self._size_bytes:
                data = os.pread(self._file, end - start, start)
                component = self._image_component(row, data, component)
                image = images[component]
                flaw = _find_flaw(data, start, (image,) if target is None else (target, image))
            elif not cut_off[row]:
                flaw = f"the index places it at bytes {start:,} to {end:,}, outside of the tar"
            self._components.append(component)
            if flaw:
                yield self._finding(flaw, row)

    def _image_component(self, row: int, data: bytes, default: str) -> str:
        """The suffix in the image's header, if the manifest has it."""
        header = int(self._layout.offsets[row] - self._starts[row]) - BLOCK_BYTES
        _, _, suffix = _header_name(data[header:]).partition(".")
        return suffix if suffix in self._layout.image_components else default

    def _check_size(self) -> Iterator[Finding]:
        stated = self._task.shard.bytes
        if self._size_bytes != stated:
            text = f"the tar is {self._size_bytes:,} bytes long, {MANIFEST_NAME} says {stated:,}"
            rows = np.flatnonzero(self._cut_off)
            if len(rows):
                text += f"; {plural(len(rows), 'sample')}, from this one on, are cut off"
            yield self._finding(text, int(rows[0]) if len(rows) else None)

    def _check_gaps(self) -> Iterator[Finding]:
        """Bytes between samples, and the end of the tar."""
        expected = np.concatenate([[0], self._ends[:-1]])
        for row in np.flatnonzero(self._starts != expected).tolist():
            yield self._finding("it doesn't start where the sample before it ends", row)
        end = int(self._ends[-1]) if len(self._ends) else 0
        tail = os.pread(self._file, self._size_bytes - end, end)
        if tail != END:
            byte = end + _first_difference(tail, END)
            yield self._finding(f"after the last sample, byte {byte:,} is not the end of a tar")

    def _check_idx(self, *, disagreed: bool) -> Iterator[Finding]:
        """The tar's ``.idx``, which follows from the same rows."""
        name = index_name(self._task.shard.name)
        try:
            data = (self._task.directory / name).read_bytes()
        except OSError as error:
            yield Finding(file=name, text=f"it can't be read ({error.strerror})")
            return
        intact = hashlib.sha256(data).hexdigest() == self._task.index_sha256
        if intact and disagreed:
            return
        expected = self._layout.index_text(self._components).split("\n")
        lines = zip_longest(data.decode(errors="replace").split("\n"), expected)
        for number, (line, expected_line) in enumerate(lines, start=1):
            if line != expected_line:
                text = f"line {number:,} is {_quote(line)}, the index says {_quote(expected_line)}"
                yield Finding(file=name, text=text)
                return
        if not intact:
            yield Finding(file=name, text=_WRONG_HASH)

    def _finding(self, text: str, row: int | None = None) -> Finding:
        if row is None:
            return Finding(file=self._file_at_fault, text=text)
        key = int(self._layout.keys[row])
        return Finding(file=self._file_at_fault, text=text, row=self._task.first + row, key=key)


def _find_flaw(data: bytes, start: int, members: Sequence[Member]) -> str | None:
    """The first error of a sample with the bytes `data` from byte `start` of the tar on, which
    should be `members`; None without errors."""
    at, view = 0, memoryview(data)
    for member in members:
        content = at + BLOCK_BYTES
        end = content + member.size_bytes
        zeros = padding(member.size_bytes)
        if data[at:content] != member.header:
            return _header_flaw(data[at:content], start + at, member)
        if zlib.crc32(view[content:end]) != member.crc32:
            return _content_flaw(data[content:end], member)
        at = end + len(zeros)
        if data[end:at] != zeros:
            byte = start + end + _first_difference(data[end:at], zeros)
            return f"the padding after {member.name} is not zero at byte {byte:,} of the tar"
    return None


def _header_flaw(header: bytes, at: int, member: Member) -> str:
    name = _header_name(header)
    byte = f"byte {at + _first_difference(header, member.header):,} of the tar"
    if name != member.name and name.isprintable():
        return f"the header of {member.name} has the name {name!r} ({byte})"
    return f"the header of {member.name} is wrong at {byte}"


def _header_name(header: bytes) -> str:
    return header[:_NAME_BYTES].rstrip(b"\0").decode(errors="replace")


def _content_flaw(content: bytes, member: Member) -> str:
    crc = zlib.crc32(content)
    text = f"the crc32 of {member.name} is {crc:08x}, the index says {member.crc32:08x}"
    if member.size_bytes <= _SHOWN_BYTES:
        return f"{text}; its content is {content.decode(errors='replace')!r}"
    return text


def _first_difference(data: bytes, expected: bytes) -> int:
    """Index of the first byte that differs."""
    pairs = enumerate(zip(data, expected, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(data), len(expected)))


def _quote(line: str | None) -> str:
    return "missing" if line is None else repr(line)
