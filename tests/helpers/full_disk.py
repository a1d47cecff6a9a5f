"""A command on a disk that is nearly full."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_on_full_disk(command: Sequence[object]) -> subprocess.CompletedProcess[str]:
    """Run `command` in the repository; no file of it may grow beyond 10 KiB."""
    return subprocess.run(
        ["sh", "-c", 'ulimit -f 20; exec "$@"', "sh", *map(str, command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
