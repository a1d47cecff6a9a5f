"""What names of files, folders and columns say."""

import re

_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_PIXEL_NAME = re.compile(r"\D*\d+(x\d+)?", re.IGNORECASE)
# Folders that hold images but are no classes.
_CONTAINERS = frozenset({"images", "image", "img", "imgs"})
# An index that pandas wrote has no name.
_UNNAMED = re.compile(r"(Unnamed: \d+)?")


def split_word(path: str) -> str | None:
    """The split that the name speaks of ("train", "val", "test"), its last part first; or None."""
    for name in reversed(path.split("/")):
        for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name):
            if word.lower() in _SPLIT_WORDS:
                return _SPLIT_WORDS[word.lower()]
    return None


def is_csv(name: str) -> bool:
    return name.lower().endswith((".csv", ".tsv"))


def is_class_folder(name: str) -> bool:
    return name.lower() not in _CONTAINERS and name.lower() not in _SPLIT_WORDS


def is_pixel_column(name: str) -> bool:
    """pixel0, px_12, 1x1, 783: letters, then a number or two."""
    return _PIXEL_NAME.fullmatch(name) is not None


def is_unnamed(name: str) -> bool:
    return _UNNAMED.fullmatch(name) is not None


def is_label_column(name: str) -> bool:
    return name.lower() in ("label", "labels")


def natural_key(text: str) -> list[tuple[int, str]]:
    """Sorts "row 9" before "row 10"."""
    parts = re.split(r"(\d+)", text)
    return [(int(part), "") if number % 2 else (0, part) for number, part in enumerate(parts)]


def plural(count: int, noun: str) -> str:
    """1 class, 2 classes, 3,000 images."""
    many = noun if count == 1 else noun + ("es" if noun.endswith("s") else "s")
    return f"{count:,} {many}"
