"""Names of members of zips: UTF-8, or bytes in a code page that the zip does not state.

A name that is not UTF-8 keeps its bytes as surrogates until all tables of the download are known:
its encoding is the one in which the tables have the names.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import MisuseError
from tools.download.code_pages import CODE_PAGES, readings

_UTF8_FLAG = 0x800
# Info-ZIP's extra field with the name in UTF-8: id, size; then version, checksum, name.
_UNICODE_PATH, _FIELD, _UNICODE_HEAD = 0x7075, struct.Struct("<HH"), struct.Struct("<BL")
_UNDECODED = re.compile("[\udc80-\udcff]")
# Names that are compared with the tables, and readings that an error shows.
_COMPARED_NAMES, _SHOWN_READINGS = 64, 3


@dataclass(frozen=True)
class ChosenEncoding:
    """The encoding of the names in a zip, and a sentence if it was guessed."""

    encoding: str
    note: str = ""


def member_names(infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The names of a zip's members; the bytes of those that are not UTF-8 are surrogates."""
    raw_names = [_raw_name(info) for info in infos]
    undecoded = b"/".join(raw for raw in raw_names if raw is not None)
    try:
        undecoded.decode()
        codec = "utf-8"
    except UnicodeDecodeError:
        codec = "ascii"
    return [
        (_unicode_path(info) or info.filename).replace("\\", "/")
        if raw is None
        # The second byte of a character may be a backslash.
        else _with_slashes(raw.decode(codec, "surrogateescape"))
        for info, raw in zip(infos, raw_names, strict=True)
    ]


def is_undecoded(name: str) -> bool:
    """Whether a name in a zip has bytes whose encoding is not known."""
    return not name.isascii() and _UNDECODED.search(name) is not None


def undecoded_parts(paths: Sequence[str]) -> list[bytes]:
    """The different names of files and folders, as bytes, that are not decoded."""
    parts = (part for path in paths for part in path.split("/") if is_undecoded(part))
    return [part.encode("ascii", "surrogateescape") for part in dict.fromkeys(parts)]


def decode_path(path: str, encoding: str) -> str:
    """The path with its undecoded names in this encoding; bytes without a meaning are escaped."""
    parts = (
        part.encode("ascii", "surrogateescape").decode(encoding, "backslashreplace")
        if is_undecoded(part)
        else part
        for part in path.split("/")
    )
    return "/".join(parts).replace("\\", "/")


def choose_encoding(
    zip_path: str, names: Sequence[bytes], text: str, stated: str | None
) -> ChosenEncoding:
    """The encoding of the names in a zip: the `stated` one, else the one in which the `text` of the
    tables has most of them. Raises ``MisuseError`` if neither decides."""
    if stated is not None:
        _require_meaning(zip_path, names, stated)
        return ChosenEncoding(stated)
    step = -(-len(names) // _COMPARED_NAMES)
    decoded = _different(readings(names[::step]))
    counts = {encoding: _occurrences(parts, text) for encoding, parts in decoded.items()}
    most = max(counts.values())
    best = [encoding for encoding, count in counts.items() if count == most]
    if len(best) > 1:
        shown = "".join(
            f"\n  --zip-encoding {encoding}: {decoded[encoding][0]}"
            for encoding in best[:_SHOWN_READINGS]
        )
        raise MisuseError(
            f"{zip_path}: the encoding of its names is not stated, and no table has them. Pick the "
            f"one in which they can be read:{shown}"
        )
    reason = f", in which the tables have {most} of {len(names[::step])} names" if most else ""
    return ChosenEncoding(
        best[0],
        f"The names in {zip_path} are not UTF-8: they are read as {CODE_PAGES[best[0]]} "
        f"({best[0]}){reason}. Another encoding: --zip-encoding NAME.",
    )


def plausible_encoding(names: Sequence[bytes]) -> str:
    """The encoding in which names that don't matter look best."""
    return next(iter(readings(names)))


def _raw_name(info: zipfile.ZipInfo) -> bytes | None:
    """The bytes of a name that may have any encoding; None if it is ASCII or known to be UTF-8."""
    if info.orig_filename.isascii() or info.flag_bits & _UTF8_FLAG or _unicode_path(info):
        return None
    # The zipfile module decodes such names as cp437, which has a sign for each byte.
    return info.orig_filename.encode("cp437").partition(b"\0")[0]


def _unicode_path(info: zipfile.ZipInfo) -> str:
    """The name in Info-ZIP's extra field; "" if there is none or it belongs to another name."""
    start = 0
    while start + _FIELD.size <= len(info.extra):
        kind, size = _FIELD.unpack_from(info.extra, start)
        data = info.extra[start + _FIELD.size : start + _FIELD.size + size]
        if kind == _UNICODE_PATH and len(data) > _UNICODE_HEAD.size:
            version, checksum = _UNICODE_HEAD.unpack_from(data)
            raw = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8_FLAG else "cp437")
            if version == 1 and checksum == zlib.crc32(raw):
                return data[_UNICODE_HEAD.size :].decode("utf-8", "replace")
        start += _FIELD.size + size
    return ""


def _with_slashes(name: str) -> str:
    return name if is_undecoded(name) else name.replace("\\", "/")


def _different(decoded: dict[str, list[str]]) -> dict[str, list[str]]:
    """Without encodings that read the same as a more plausible one."""
    different: dict[str, list[str]] = {}
    for encoding, parts in decoded.items():
        if parts not in different.values():
            different[encoding] = parts
    return different


def _occurrences(parts: Sequence[str], text: str) -> int:
    """The number of names, without extensions, that the text has."""
    stems = (part.rpartition(".")[0] or part for part in parts)
    # A single letter may be there by chance, a single ideograph is a word.
    return sum((len(stem) > 1 or stem >= "\u2e80") and stem in text for stem in stems)


def _require_meaning(zip_path: str, names: Sequence[bytes], encoding: str) -> None:
    for name in names:
        try:
            name.decode(encoding)
        except UnicodeDecodeError as error:
            raise MisuseError(
                f"--zip-encoding {encoding}: the name {name!r} in {zip_path} can't be read in "
                f"it. Pass another encoding, such as {', '.join(list(readings(names))[:3])}."
            ) from error
