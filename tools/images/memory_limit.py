"""A bound on what a decoder may allocate, for formats whose headers can lie about their size."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATM = Path("/proc/self/statm")
# The place of data and stack, in pages.
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
