"""Reads files of tensors: those of torch.save, whose checksums torch does not compare, and
safetensors."""

import os
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from trainer.files import open_plain

_ZIP, _HEADER_BYTES = b"PK\x03\x04", 9


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


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise DamagedFileError(
            "a safetensors file, which takes: pip install -c constraints.txt -e '.[safetensors]'"
        ) from error
    return dict(load_file(path))
