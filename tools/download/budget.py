"""What a whole download may take, however it is packed: checked before anything is unpacked."""

from dataclasses import dataclass, field

from pipeline.errors import DataError
from pipeline.limits.memory import available_bytes

# A file takes about 300 bytes of memory in the index; Open Images has 9 million.
MAX_FILES = 2**24
# Zips of images are hardly smaller when they are zipped again.
MAX_INFLATION = 100
# More folders make paths that are slow to compare; systems allow 4,096 bytes.
MAX_FOLDERS, MAX_PATH_BYTES = 100, 4096


def _half_of_free_memory() -> int:
    return available_bytes() // 2


@dataclass
class Budget:
    """What is left for the rest of a download: `memory_bytes` for compressed zips in zips, which
    stay in memory, and the number of `files`."""

    memory_bytes: int = field(default_factory=_half_of_free_memory)
    files: int = MAX_FILES

    def take_file(self) -> None:
        """Count a file that is listed; raises ``DataError``."""
        self.files -= 1
        if self.files < 0:
            raise DataError(
                f"The download has more than {MAX_FILES:,} files: give a folder of it as --src."
            )

    def memory_problem(self, stored_bytes: int, size_bytes: int) -> str | None:
        """Why a zip in a zip is not unpacked into memory; None if it may be."""
        if size_bytes > MAX_INFLATION * max(stored_bytes, 1):
            return f"a zip in a zip that unpacks to {MAX_INFLATION} times its size: unzip it first"
        if size_bytes > self.memory_bytes:
            return (
                "a compressed zip in a zip; together they take more than half of the free memory: "
                "unzip it first"
            )
        return None


def path_problem(path: str) -> str | None:
    """Why a file of this path is not listed; None if it is."""
    if path.count("/") > MAX_FOLDERS:
        return f"in more than {MAX_FOLDERS} folders, one in the other: move it up"
    # A character takes at most 4 bytes.
    if 4 * len(path) > MAX_PATH_BYTES < len(path.encode(errors="surrogateescape")):
        return f"its path is longer than {MAX_PATH_BYTES:,} bytes: shorten it"
    return None
