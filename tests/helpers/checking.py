"""Damage shards, and run tools/check on them."""

from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from tools.checking.cli import main

TASKS = {
    "classification": {},
    "multi-label": {},
    "regression": {"classes": (), "targets": ("beauty", "weight")},
    "segmentation": {},
}


def check(shards: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(main, [str(shards), "--workers", "2", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def findings(shards: Path, *arguments: str) -> list[str]:
    """The lines of a check that fails."""
    result = check(shards, *arguments)
    assert result.exit_code == 1, result.output
    return result.stdout.splitlines()


def flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def rewritten(path: Path, row: int, **values: int) -> None:
    """Change fields of one row of a samples.npy."""
    table = np.load(path)
    for name, value in values.items():
        table[name][row] = value
    np.save(path, table)
