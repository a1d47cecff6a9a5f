"""What C libraries say on standard error while they decode: their only word on damaged JPEGs."""

import os
import tempfile
from typing import Self


class StderrCapture:
    """Within the context, file descriptor 2 goes to a file from which ``read`` reads."""

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
        """Everything said since the last call."""
        size_bytes = os.lseek(2, 0, os.SEEK_CUR)
        if size_bytes == 0:
            return ""
        said = os.pread(2, size_bytes, 0)
        os.lseek(2, 0, os.SEEK_SET)
        os.ftruncate(2, 0)
        return said.decode(errors="replace")
