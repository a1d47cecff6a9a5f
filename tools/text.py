"""Text for people: numbers in order, nouns in the plural, nothing unprintable."""

import re


def natural_key(text: str) -> list[tuple[int, str]]:
    """Sorts "row 9" before "row 10"."""
    parts = re.split(r"(\d+)", text)
    return [(int(part), "") if number % 2 else (0, part) for number, part in enumerate(parts)]


def printable(text: str) -> str:
    """With escapes for bytes that are no UTF-8 and for what a terminal would obey."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text
    )


def plural(count: int, noun: str) -> str:
    """1 class, 2 classes, 3,000 images."""
    many = noun if count == 1 else noun + ("es" if noun.endswith("s") else "s")
    return f"{count:,} {many}"
