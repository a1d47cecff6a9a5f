"""Text for people: plurals, lists of names."""

import shlex
from collections.abc import Iterable, Sequence


def plural(count: int, noun: str) -> str:
    """Return "1 class", "2 classes" or "3,000 images"."""
    many = noun if count == 1 else noun + ("es" if noun.endswith(("s", "x")) else "s")
    return f"{count:,} {many}"


def join_names(names: Sequence[str], limit: int = 5, *, quote: bool = False) -> str:
    """Return "a, b, c and 7 more" with at most `limit` names, `quote` for "'a', 'b'"."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(repr(name) if quote else name for name in names[:limit]) + more


def option_lines(option: str, values: Iterable[str]) -> str:
    """A new line for each value of an option, quoted to be copied into a shell."""
    return "".join(f"\n  {option} {shlex.quote(value)}" for value in values)
