"""Natural order of names."""

import re


def natural_key(text: str) -> list[tuple[int, str]]:
    """Key that sorts "row 9" before "row 10"."""
    parts = re.split(r"(\d+)", text)
    return [(int(part), "") if number % 2 else (0, part) for number, part in enumerate(parts)]
