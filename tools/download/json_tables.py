"""JSON as tables: an object of file names and labels, a list of objects, or an object a line."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO, Any, TextIO

from pipeline.errors import DataError
from tools.download.table_text import csv_stream
from tools.download.text_encoding import Open, TextEncoding

JSON_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson"})
# The parsed document takes about ten times as much memory.
_MAX_BYTES = 2**30
_STRING = r'"(?:[^"\\]|\\.)*"'
# The first value of an object tells COCO's lists and other documents from names with labels.
_FLAT_OBJECT = re.compile(rf'\s*\{{\s*{_STRING}\s*:\s*["\d\-tfnNI]', re.DOTALL)
_LIST_OF_OBJECTS = re.compile(r"\s*\[\s*\{")
_OBJECT = re.compile(r"\s*\{")


@dataclass(frozen=True, kw_only=True)
class JsonSource:
    """The rows of a JSON document, whose number stands for the line, or of JSON lines.

    Args:
        keys: the columns of a list of objects; None for an object of names and labels.
        lines: whether each line has an object.
    """

    name: str
    file: Open
    encoding: TextEncoding
    keys: tuple[str, ...] | None
    lines: bool

    delimiter = ","

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed about its encoding, as far as it was read."""
        return tuple(self.encoding.notes)

    def open(self) -> IO[bytes]:
        """The table as CSV."""
        return csv_stream(cells for _, cells in self.rows())

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line or number, cells) of each row, first the keys; raises ``DataError``."""
        if self.keys is None:
            pairs = _load(self.name, self.file, self.encoding, pairs=True)
            for number, (key, value) in enumerate(pairs, start=1):
                yield number, [key, _text(value)]
            return
        yield 0, list(self.keys)
        for line, record in _records(self.name, self.file, self.encoding, lines=self.lines):
            yield line, [_text(record.get(key)) for key in self.keys]


def open_json(name: str, file: Open, encoding: TextEncoding, start: str) -> JsonSource | None:
    """The table that a JSON document, which begins with `start`, is; None for one of another
    shape. Raises ``DataError`` for a document that is damaged or too large."""
    lines = not name.lower().endswith(".json") or _are_lines(start)
    source = JsonSource(name=name, file=file, encoding=encoding, keys=None, lines=lines)
    if lines or _LIST_OF_OBJECTS.match(start):
        if lines and not _OBJECT.match(start):
            return None
        keys = _keys(source)
        return None if keys is None else replace(source, keys=keys)
    if not _FLAT_OBJECT.match(start):
        return None
    pairs = _load(name, file, encoding, pairs=True)
    is_flat = all(not isinstance(value, dict | list) for _, value in pairs)
    return source if pairs and is_flat else None


def _are_lines(start: str) -> bool:
    """Whether the first line is an object of its own, and another one follows."""
    first, _, second = start.lstrip().partition("\n")
    if not (_OBJECT.match(first) and _OBJECT.match(second)):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except ValueError:
        return False


def _keys(source: JsonSource) -> tuple[str, ...] | None:
    """The keys of all objects in the order of their first use; None if there is a row that is no
    object."""
    keys: dict[str, None] = {}
    for _, record in _records(source.name, source.file, source.encoding, lines=source.lines):
        if not isinstance(record, dict):
            return None
        keys.update(dict.fromkeys(record))
    return tuple(keys) or None


def _records(
    name: str, file: Open, encoding: TextEncoding, *, lines: bool
) -> Iterator[tuple[int, Any]]:
    """(line or number from 1, record) of each record."""
    if not lines:
        yield from enumerate(_load(name, file, encoding), start=1)
        return
    with _text_of(name, file, encoding) as text:
        for number, line in enumerate(text, start=1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise DataError(f"{name} line {number} is not JSON: {error}.") from error


def _load(name: str, file: Open, encoding: TextEncoding, *, pairs: bool = False) -> Any:
    """The document; objects as lists of `pairs`, which may repeat a key."""
    with _text_of(name, file, encoding) as text:
        try:
            return json.load(text, object_pairs_hook=list if pairs else None)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{name} is not JSON: {error}.") from error


def _text_of(name: str, file: Open, encoding: TextEncoding) -> TextIO:
    limited = _Limited(name, encoding.open(file))
    return io.TextIOWrapper(io.BufferedReader(limited, 2**18), "utf-8")


class _Limited(io.RawIOBase):
    """`file` up to the size that is read; closes it. Raises ``DataError`` after it."""

    def __init__(self, name: str, file: IO[bytes]) -> None:
        self._name, self._file, self._left = name, file, _MAX_BYTES

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._file.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise DataError(
                f"{self._name} is larger than 1 GiB, too large for a JSON of labels. Save its "
                f"labels as CSV."
            )
        buffer[: len(data)] = data
        return len(data)


def _text(value: Any) -> str:
    """A value as a cell; missing values are empty."""
    if value is None or value != value:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
