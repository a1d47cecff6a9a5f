"""The command ``shardline``, which no file in the current folder can hide."""

import sys
from importlib.util import find_spec
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def _hides(name: str) -> bool:
    """Whether Python finds another package of this name than the one beside this package."""
    spec = find_spec(name)
    return spec is None or spec.origin is None or _ROOT not in Path(spec.origin).parents


# PYTHONPATH may name a folder that has a trainer.py of its own, such as the current one.
if any(map(_hides, ("pipeline", "tools", "trainer", "benchmarks"))):
    sys.path.insert(0, str(_ROOT))

from pipeline.interrupts import handle_interrupts  # noqa: E402

handle_interrupts()
