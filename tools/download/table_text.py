"""The dialect of a CSV: lines above the header, the delimiter, and the rows with their lines."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO

from pipeline.errors import DataError
from tools.download.text_encoding import Open, TextEncoding

# Lines that the delimiter and the comments are found in.
_SNIFFED_LINES, _MAX_COMMENT_LINES = 30, 1000
# Characters of a line and of a cell, which are held in memory.
MAX_LINE = 2**28
_SEPARATOR_LINE = re.compile(r'"?sep=(\\t|[\t !-/:-@\[-`{-~])"?', re.IGNORECASE)
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
# Follows the last line, so that a quote that is never closed is seen.
_END = "\uf8ff\uf8fe"


@dataclass(frozen=True)
class Preamble:
    """The lines above the first row.

    Args:
        lines: their number.
        separator: the delimiter that Excel's line "sep=;" states; "" without it.
        comment: the last comment, without its sign.
    """

    lines: int = 0
    separator: str = ""
    comment: str = ""


@dataclass(frozen=True, kw_only=True)
class TextSource:
    """The rows of a CSV."""

    name: str
    file: Open
    encoding: TextEncoding
    delimiter: str
    skipped_lines: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed about its encoding, as far as it was read."""
        return tuple(self.encoding.notes)

    def open(self) -> IO[bytes]:
        """The whole file as UTF-8."""
        return self.encoding.open(self.file)

    def ascii_file(self) -> Path | None:
        """The local file whose bytes ``open`` gives as they are as long as they are ASCII; None for
        members of archives, remote files, and where other bytes were found."""
        if self.encoding.name:
            return None
        with self.file() as opened:
            raw = getattr(opened, "raw", None)
            return Path(raw.name).absolute() if isinstance(raw, io.FileIO) else None

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line of the file from 1, cells) of each row that is not blank, also the header's;
        raises ``DataError``."""
        # The default limit of the csv module is 128 KiB a cell.
        csv.field_size_limit(MAX_LINE)
        with io.TextIOWrapper(self.open(), encoding="utf-8", newline="") as file:
            line = 0
            try:
                for line, cells in self._rows(file):
                    yield line, cells
            except csv.Error as error:
                raise DataError(
                    f"{self.name} can't be read as CSV after line {line}: {error}."
                ) from error
            except OSError as error:
                raise DataError(f"{self.name} can't be read: {error.strerror or error}.") from error

    def _rows(self, file: io.TextIOWrapper) -> Iterator[tuple[int, list[str]]]:
        for _ in range(self.skipped_lines):
            file.readline()
        ended = list[bool]()
        lines = chain(self._lines(file), _end_line(ended))
        reader = csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True)
        blanks, line = self.delimiter == " ", self.skipped_lines
        for cells in reader:
            previous, line = line, reader.line_num + self.skipped_lines
            if ended:
                self._check_quotes(cells, previous + 1, line - 1)
            elif any(map(str.strip, cells)):
                # Blanks at the end of a line are no cell.
                yield line, cells[:-1] if blanks and not cells[-1] else cells

    def _lines(self, file: io.TextIOWrapper) -> Iterator[str]:
        while line := file.readline(MAX_LINE):
            if len(line) == MAX_LINE:
                raise DataError(
                    f"{self.name} has a line of more than {MAX_LINE:,} characters: it is no table, "
                    f"or its line ends are missing."
                )
            yield line

    def _check_quotes(self, cells: list[str], first: int, last: int) -> None:
        """Raise ``DataError`` if the row goes on after the table's end."""
        if cells != [_END]:
            text = cells[-1].removesuffix(_END)
            raise DataError(
                f"{self.name}: the cell that begins with {text[:30]!r} in line {first} ends in "
                f"line {last}, the last one. Close its quote where the cell should end."
            )


def csv_stream(rows: Iterable[Sequence[str]]) -> IO[bytes]:
    """Rows as the bytes of a CSV with commas."""
    return io.BufferedReader(_CsvStream(rows), 2**18)


class _CsvStream(io.RawIOBase):
    def __init__(self, rows: Iterable[Sequence[str]]) -> None:
        self._rows, self._ready = iter(rows), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._ready:
            text = io.StringIO(newline="")
            csv.writer(text).writerows(islice(self._rows, 1000))
            self._ready = text.getvalue().encode()
        data, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def _end_line(ended: list[bool]) -> Iterator[str]:
    ended.append(True)
    yield _END


def find_preamble(lines: Sequence[str]) -> Preamble:
    """The lines above the first row: "sep=;", comments that begin with "#", and blank ones. Where
    all lines begin with "#", they are rows."""
    stated = _SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    separator = stated[1].replace("\\t", "\t") if stated else ""
    first, comment = int(bool(stated)), ""
    for number, line in enumerate(lines[first:_MAX_COMMENT_LINES], start=first):
        if line.startswith("#"):
            comment = line[1:]
        elif line.strip():
            return Preamble(number, separator, comment)
    return Preamble(first, separator)


def split_lines(text: str) -> list[str]:
    """The lines of a text, as the csv module counts them."""
    return _LINE_ENDS.split(text)


def split_cells(line: str, delimiter: str) -> list[str]:
    """The cells of one line, stripped."""
    cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    return [cell.strip() for cell in cells]


def find_delimiter(lines: list[str], *, spaces: bool = False) -> str:
    """The delimiter that splits most lines into as many cells as the first line.

    One of comma, tab, semicolon and bar, and with `spaces` also runs of blanks. Of several, it is
    the one that comes first in the lines; commas within numbers are no delimiters then.
    """
    csv.field_size_limit(MAX_LINE)
    lines = [line for line in lines if line.strip()][:_SNIFFED_LINES]
    best, most = ",", (0, 0, 0)
    for delimiter in ",\t;|" + (" " if spaces else ""):
        rows = [row for row in _split(lines, delimiter) if row]
        widths = [len(row) for row in rows]
        if widths and widths[0] > 1:
            is_first = sum(_comes_first(delimiter, line) for line in lines)
            score = (widths.count(widths[0]), widths[0], is_first)
            if score > most:
                best, most = delimiter, score
    return best


def _split(lines: list[str], delimiter: str) -> Iterator[list[str]]:
    for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True):
        # Blanks at the end of a line are no cell.
        yield row[:-1] if delimiter == " " and row and not row[-1] else row


def _comes_first(delimiter: str, line: str) -> bool:
    plain = _DECIMAL_COMMA.sub(".", line)
    place = plain.find(delimiter)
    return place >= 0 and all(not 0 <= plain.find(other) < place for other in ",\t;|")
