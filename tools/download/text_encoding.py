"""Texts in UTF-8, UTF-16 or Windows' code page as streams of UTF-8, in constant memory."""

import codecs
import io
import re
from collections.abc import Callable
from typing import IO

from pipeline.errors import DataError
from tools.download.code_pages import CODE_PAGES, plausibility, readings

Open = Callable[[], IO[bytes]]
_BLOCK_BYTES = 2**18
# UTF-32's mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8"),
)
# UTF-8 may have a mark.
_CODECS = {"": "utf-8-sig", "utf-8": "utf-8-sig"}
# Five bytes have no meaning in cp1252; browsers give them that of Latin-1, too.
_WESTERN = "".join(bytes([n]).decode("cp1252", "ignore") or chr(n) for n in range(256))
_BESIDE_ASCII = re.compile(r"[^\x00-\x7f]")
_CUT_CHARACTER = re.compile(r"[\udc80-\udcff]{1,3}\Z")
# Bytes of lines beside ASCII that a code page is judged by.
_JUDGED_BYTES = 2**16
_MIN_PLAUSIBLE, _MIN_LEAD = 0.8, 0.3


class TextEncoding:
    """The encoding of the text `name`, found as its streams are read.

    `name` is "" as long as only ASCII was read. `notes` are sentences about what was assumed; all
    that there are once a stream was read to its end.
    """

    def __init__(self, file: str, start: bytes, *, whole: bool) -> None:
        self.file, self.notes = file, list[str]()
        marked = (encoding for mark, encoding in _MARKS if start.startswith(mark))
        self.name = next(marked, "")
        if not self.name:
            self.decide(start, whole=whole)

    def decide(self, data: bytes, *, whole: bool) -> None:
        """Find the encoding by bytes that are not ASCII, which end with the text if they are the
        `whole`; raises ``DataError`` for a text in neither UTF-8 nor cp1252."""
        if data.isascii():
            return
        # Texts in other code pages have next to no bytes that are valid UTF-8.
        text = data.decode("utf-8", "surrogateescape")
        text = text if whole else _CUT_CHARACTER.sub("", text)
        beside_ascii = _BESIDE_ASCII.findall(text)
        invalid = sum("\udc80" <= letter <= "\udcff" for letter in beside_ascii)
        if not beside_ascii:
            return
        if not invalid or invalid < len(beside_ascii) / 2:
            self.name = "utf-8"
            return
        _refuse_other_code_pages(self.file, data)
        self.name = "cp1252"
        self.notes.append(
            f"{self.file} is not UTF-8: it is read in code page 1252 of Windows (cp1252)."
        )

    def decode_start(self, start: bytes) -> str:
        """The first bytes as text; they may be cut anywhere."""
        return start.decode(_CODECS.get(self.name, self.name), "replace")

    def open(self, open: Open) -> IO[bytes]:
        """The text as UTF-8 without a mark; raises ``DataError`` as it is read."""
        return io.BufferedReader(_Utf8Stream(open(), self), _BLOCK_BYTES)

    def add_damage(self, byte: int, line: int) -> None:
        """Note the first byte that is not UTF-8 in a text that is."""
        note = (
            f"{self.file} is UTF-8 but for some bytes (first: {byte:#x} in line {line}): they are "
            f"read as \\{byte:#x} and the like.".replace("\\0x", "\\x")
        )
        if not any(" is UTF-8 but for " in other for other in self.notes):
            self.notes.append(note)


class _Utf8Stream(io.RawIOBase):
    """`file` as UTF-8; closes it."""

    def __init__(self, file: IO[bytes], encoding: TextEncoding) -> None:
        self._file, self._encoding = file, encoding
        self._decoder: codecs.IncrementalDecoder | None = None
        self._ready, self._ended, self._lines = memoryview(b""), False, 0

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready and not self._ended:
            self._ready = memoryview(self._next())
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _next(self) -> bytes:
        data = self._file.read(_BLOCK_BYTES)
        self._ended = not data
        if not self._encoding.name:
            if data.isascii():
                self._lines += data.count(b"\n")
                return data
            while not self._encoding.name:
                more = self._file.read(_BLOCK_BYTES)
                data += more
                self._encoding.decide(data, whole=not more)
        if self._encoding.name == "cp1252":
            return codecs.charmap_decode(data, "strict", _WESTERN)[0].encode()
        return self._decode(data).encode()

    def _decode(self, data: bytes) -> str:
        if self._decoder is None:
            name = self._encoding.name
            self._decoder = codecs.getincrementaldecoder(_CODECS.get(name, name))()
        state = self._decoder.getstate()
        try:
            text = self._decoder.decode(data, self._ended)
        except UnicodeDecodeError as error:
            if self._encoding.name != "utf-8":
                name = self._encoding.name.upper()
                raise DataError(
                    f"{self._encoding.file} begins as {name} and goes on otherwise: save it as "
                    f"UTF-8."
                ) from error
            line = self._lines + error.object[: error.start].count(b"\n") + 1
            self._encoding.add_damage(error.object[error.start], line)
            self._decoder.setstate(state)
            self._decoder.errors = "backslashreplace"
            text = self._decoder.decode(data, self._ended)
        self._lines += text.count("\n")
        return text


def _refuse_other_code_pages(file: str, data: bytes) -> None:
    """Raise ``DataError`` for a text that is rubbish in cp1252 and plausible in another."""
    lines = [line for line in data.splitlines()[:-1] or [data] if not line.isascii()]
    judged = b"\n".join(lines)[:_JUDGED_BYTES].rpartition(b"\n")[0] or b"\n".join(lines[:1])
    western = plausibility(judged.decode("cp1252", "replace"), "cp1252")
    least = max(_MIN_PLAUSIBLE, western + _MIN_LEAD)
    plausible = [
        (encoding, text)
        for encoding, (text,) in readings([judged]).items()
        if plausibility(text, encoding) >= least
    ]
    if plausible:
        shown = " or ".join(
            f"{CODE_PAGES[encoding]} ({text.splitlines()[0][:60]!r})"
            for encoding, text in plausible[:2]
        )
        raise DataError(
            f"{file} is not UTF-8; it looks like {shown}. Save it as UTF-8: "
            f"iconv -f {plausible[0][0]} -t utf-8."
        )
