"""Reads files of tensors: those of torch.save, whose checksums torch does not compare, and
safetensors."""

import hashlib
import os
import struct
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from pipeline.storage.plain_files import open_plain

_ZIP, _HEADER_BYTES = b"PK\x03\x04", 9
# Where the header of an entry has the lengths of its name and its extra field, two bytes each.
_LENGTHS_AT = 26
_SEAL = b"shardline sha256 "
_SEAL_BYTES = len(_SEAL) + 64


class DamagedFileError(ValueError):
    """A file that holds no tensors, or whose content is not what was written; the text says which
    of both."""


def read_tensors(path: Path) -> Any:
    """The content of a file of tensors, in host memory. No code from the file is run.

    Raises ``OSError``, also for a pipe or a device, and ``DamagedFileError``.
    """
    with open_plain(path) as file:
        head = file.read(_HEADER_BYTES)
        size = os.fstat(file.fileno()).st_size
        file.seek(0)
        try:
            if head.startswith(_ZIP):
                _verify_zip(file, size)
                file.seek(0)
            elif head[8:] == b"{" and int.from_bytes(head[:8], "little") < size:
                return _read_safetensors(path)
            return torch.load(file, map_location="cpu", weights_only=True)
        except (OSError, DamagedFileError):
            raise
        # Readers raise nearly every kind of error for files that were changed.
        except Exception as error:
            raise DamagedFileError("damaged, or not a file of tensors") from error


def _verify_zip(file: IO[bytes], size: int) -> None:
    """Compare each entry with its CRC-32. torch.save does not compress, so an entry that is larger
    than the file was not written by it."""
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise DamagedFileError("it has compressed entries, which torch.save does not write")
        if sum(entry.file_size for entry in entries) > size:
            raise DamagedFileError("damaged: its entries are larger than the file")
        if name := archive.testzip():
            raise DamagedFileError(f"damaged: the CRC-32 of {name} differs")
        if archive.comment and archive.comment != _seal_of(archive, size - len(archive.comment)):
            raise DamagedFileError("damaged: its headers were changed")


def seal(file: IO[bytes]) -> None:
    """Append a hash of what lies between the entries of a zip, which their CRC-32 do not cover, as
    the comment of the zip. `file` is open for reading and writing."""
    size = file.seek(0, os.SEEK_END)
    # The last field is the length of the comment.
    file.seek(size - 2)
    file.write(_SEAL_BYTES.to_bytes(2, "little"))
    with zipfile.ZipFile(file) as archive:
        comment = _seal_of(archive, size)
    file.seek(size)
    file.write(comment)


def _seal_of(archive: zipfile.ZipFile, end: int) -> bytes:
    """The comment for a zip whose bytes but the comment reach to `end`."""
    file, sha, position = archive.fp, hashlib.sha256(), 0
    assert file is not None
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        file.seek(entry.header_offset + _LENGTHS_AT)
        lengths = file.read(4)
        start = entry.header_offset + _LENGTHS_AT + 4 + sum(struct.unpack("<HH", lengths))
        file.seek(position)
        sha.update(file.read(max(0, start - position)))
        position = start + entry.compress_size
    file.seek(position)
    sha.update(file.read(max(0, end - position)))
    return _SEAL + sha.hexdigest().encode()


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise DamagedFileError(
            "a safetensors file, which takes: pip install -c constraints.txt -e '.[safetensors]'"
        ) from error
    return dict(load_file(path))
