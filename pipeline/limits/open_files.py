"""How many files this process may have open."""

import resource
import sys

# select(), which some libraries call, can't wait for a file of a higher number.
ENOUGH = 1024


def raise_open_files() -> int:
    """Raise the number of files that this process may have open to ``ENOUGH``, as far as it may;
    return the number.

    Systems begin with 1,024 or more, but 256 occurs. More would serve nothing here, as no more than
    a quarter of ``ENOUGH`` is kept open for shards, and would be inherited by programs that go
    through all possible numbers.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    raised = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft < raised:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        except (OSError, ValueError):  # a sandbox may forbid it
            return soft
    return max(soft, raised)
