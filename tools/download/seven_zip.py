"""7z archives: unpacked in one pass into a zip of stored members, which is then read in place.

A 7z packs files one after another into a single stream, so that none can be read alone.
"""

import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO

from tools.download.archives import DamagedMemberError
from tools.download.name_index import name_of


def repack(file: BinaryIO, path: str) -> tuple[BinaryIO, str]:
    """The files of a 7z as a zip: a stream, and the path at which other processes of this machine
    open it.

    Raises ``DamagedMemberError`` if it can't be unpacked, which takes py7zr, and ``OSError`` if the
    disk is full.
    """
    try:
        import py7zr
    except ImportError as error:
        raise DamagedMemberError(
            f"a 7z, which takes py7zr: pip install 'shardline[7z]', or run: 7z x {name_of(path)}"
        ) from error
    # The descriptor stays open until the process ends, since closing it deletes the file.
    with tempfile.TemporaryFile(prefix="shardline-") as made:
        descriptor = os.dup(made.fileno())
    with tempfile.TemporaryDirectory(prefix="shardline-") as folder:
        try:
            with py7zr.SevenZipFile(file) as archive:
                _require_room(archive.archiveinfo().uncompressed, Path(folder))
                archive.extractall(folder)
        except py7zr.exceptions.PasswordRequired as error:
            raise DamagedMemberError("the 7z is encrypted: unpack it with its password") from error
        except (OSError, DamagedMemberError):
            raise
        # Damaged bytes raise nearly any error in py7zr.
        except Exception as error:
            raise DamagedMemberError(
                f"not a readable 7z ({error}); is the download complete?"
            ) from error
        stream = open(descriptor, "w+b", closefd=False)  # noqa: SIM115
        _pack(Path(folder), stream)
    return stream, f"/proc/{os.getpid()}/fd/{descriptor}"


def _require_room(size_bytes: int, folder: Path) -> None:
    """Raise ``DamagedMemberError`` unless twice as many bytes fit on the disk of `folder`: the
    files are there twice for a while."""
    if 2 * size_bytes > shutil.disk_usage(folder).free:
        raise DamagedMemberError(
            f"a 7z of {size_bytes / 2**30:,.1f} GiB, more than half of what is free in "
            f"{folder.parent}: unpack it, or set TMPDIR to a larger disk"
        )


def _pack(folder: Path, stream: BinaryIO) -> None:
    """Write the files of `folder` to a zip without compression; links are left out."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, strict_timestamps=False) as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                packed.write(path, path.relative_to(folder).as_posix())
    stream.flush()
