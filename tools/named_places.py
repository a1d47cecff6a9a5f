"""The tables, folders and columns that the options of ``tools/shard`` name."""

from tools.config import ShardConfig
from tools.download.name_patterns import split_word

_COLUMN_OPTIONS = ("label_column", "image_column", "split_column", "group_column", "mask_column")


def label_places(config: ShardConfig) -> tuple[tuple[str | None, str], ...]:
    """(split, path) of each --labels; the split is None if the option doesn't say it."""
    places = []
    for text in config.labels:
        word, sign, path = text.partition("=")
        split = split_word(word) if sign and "/" not in word else None
        places.append((split, path if split else text))
    return tuple(places)


def named_columns(config: ShardConfig, *fields: str) -> list[tuple[str, str]]:
    """(option, column) for each column that the options `fields` name; all by default."""
    pairs = []
    for field in fields or _COLUMN_OPTIONS:
        value = getattr(config, field)
        columns = value if isinstance(value, tuple) else () if value is None else (value,)
        pairs += [("--" + field.replace("_", "-"), column) for column in columns]
    return pairs
