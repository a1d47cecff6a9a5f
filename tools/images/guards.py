"""Guards around C decoders: a bound on their memory, and their messages on standard error."""

import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

_STATM = Path("/proc/self/statm")
# Field of statm with the size of data and stack, in pages.
_DATA = 5


@contextmanager
def memory_bounded(room_bytes: int) -> Iterator[None]:
    """Within the context this process can't allocate more than `room_bytes`: malloc fails."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    used_bytes = int(_STATM.read_text().split()[_DATA]) * resource.getpagesize()
    bound_bytes = used_bytes + room_bytes
    if before[0] != resource.RLIM_INFINITY:
        bound_bytes = min(bound_bytes, before[0])
    resource.setrlimit(resource.RLIMIT_DATA, (bound_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


class StderrCapture:
    """Within the context, file descriptor 2 is a temporary file that ``read`` reads.

    libjpeg and libtiff report damage only there.
    """

    def __enter__(self) -> Self:
        self._file = tempfile.TemporaryFile()
        self._saved = os.dup(2)
        os.dup2(self._file.fileno(), 2)
        return self

    def __exit__(self, *error: object) -> None:
        os.dup2(self._saved, 2)
        os.close(self._saved)
        self._file.close()

    def read(self) -> str:
        """The text written since the last call."""
        size_bytes = os.lseek(2, 0, os.SEEK_CUR)
        if size_bytes == 0:
            return ""
        text = os.pread(2, size_bytes, 0)
        os.lseek(2, 0, os.SEEK_SET)
        os.ftruncate(2, 0)
        return text.decode(errors="replace")
