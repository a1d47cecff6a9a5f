"""What is wrong with the bytes of a sample in a tar, in words."""

import zlib
from collections.abc import Sequence

from tools.checking.tar_layout import Member
from tools.writing.tar import BLOCK_BYTES, padding

_NAME_BYTES = 100
_SHOWN_BYTES = 20


def find_flaw(data: bytes, begin: int, members: Sequence[Member]) -> str | None:
    """The first thing that is wrong with a sample, whose bytes `data` begin at byte `begin` of the
    tar and should be `members`; None if nothing is."""
    at, view = 0, memoryview(data)
    for member in members:
        content = at + BLOCK_BYTES
        end = content + member.size_bytes
        zeros = padding(member.size_bytes)
        if data[at:content] != member.header:
            return _header_flaw(data[at:content], begin + at, member)
        if zlib.crc32(view[content:end]) != member.crc32:
            return _content_flaw(data[content:end], member)
        at = end + len(zeros)
        if data[end:at] != zeros:
            where = begin + end + first_difference(data[end:at], zeros)
            return f"the padding behind {member.name} is not zero at byte {where:,} of the tar"
    return None


def header_name(header: bytes) -> str:
    """The name in a member's header."""
    return header[:_NAME_BYTES].rstrip(b"\0").decode(errors="replace")


def first_difference(found: bytes, expected: bytes) -> int:
    """Place of the first byte in which they differ."""
    pairs = enumerate(zip(found, expected, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(found), len(expected)))


def _header_flaw(found: bytes, at: int, member: Member) -> str:
    name = header_name(found)
    where = at + first_difference(found, member.header)
    if name != member.name and name.isprintable():
        return f"the header of {member.name} has the name {name!r} (byte {where:,} of the tar)"
    return f"the header of {member.name} is another at byte {where:,} of the tar"


def _content_flaw(content: bytes, member: Member) -> str:
    crc = zlib.crc32(content)
    text = f"the bytes of {member.name} have the crc32 {crc:08x}, the index {member.crc32:08x}"
    if member.size_bytes <= _SHOWN_BYTES:
        return f"{text}; they are {content.decode(errors='replace')!r}"
    return text
