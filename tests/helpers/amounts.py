"""How often tests kill, damage and draw: with SHARDLINE_LONG=1, as `make test-long` sets it, in
full; else a tenth, the same one each time."""

import os
import random
from collections.abc import Sequence
from typing import TypeVar

LONG = os.environ.get("SHARDLINE_LONG", "0") == "1"
_TENTH_SEED = 10

Case = TypeVar("Case")


def full_or_tenth(count: int) -> int:
    """`count`, or a tenth of it, rounded up."""
    return count if LONG else -(-count // 10)


def all_or_tenth(cases: Sequence[Case]) -> list[Case]:
    """All cases, or a tenth of them, drawn with a fixed seed, in their order."""
    places = random.Random(_TENTH_SEED).sample(range(len(cases)), full_or_tenth(len(cases)))
    return [cases[place] for place in sorted(places)]
