"""The role of each column of a parquet file: images or pixels, labels, ids, splits."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tools.arrays.array_names import LABEL_WORDS, name_words
from tools.download.name_patterns import (
    is_fold_column,
    is_group_column,
    is_id_column,
    is_pixel_column,
    is_split_column,
    is_unnamed,
    split_of_cell,
    words_of,
)
from tools.images.formats import identify
from tools.pixel_tables.pixel_columns import MIN_VALUES

# Words of columns that describe an image and are never its label.
_OTHER_WORDS = frozenset(
    {"width", "height", "size", "path", "paths", "file", "filename", "filepath", "name", "url"}
    | {"md", "sha", "hash", "date", "time", "timestamp", "caption", "captions", "text", "box"}
    | {"bbox", "boxes", "license", "index", "row", "uuid", "guid"}
)


@dataclass(frozen=True, kw_only=True)
class ParquetRoles:
    """The names of columns.

    Args:
        images: the columns of image files, or of lists of pixels, if there are several.
        encoded: the column of image files, or "".
        pixel_list: the column of lists of pixels, or "".
        pixels: the columns of one pixel each, in order.
        candidates: the columns that may have the label, the certain ones only if there are any.
        ids, split: or "".
        class_names: the names of the classes of each column that the file has names for.
    """

    images: tuple[str, ...] = ()
    encoded: str = ""
    pixel_list: str = ""
    pixels: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    ids: str = ""
    split: str = ""
    class_names: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def form(self) -> tuple[object, ...]:
        """Equal for files of one table."""
        return self.encoded, self.pixel_list, self.pixels, self.ids


def find_roles(schema: pa.Schema, head: pa.Table, image: str | None = None) -> ParquetRoles | None:
    """The roles of the columns; None if none has images. `head` are the first rows of all columns
    but those of single pixels; `image` is the column that --image-column names."""
    names = _class_names(schema)
    encoded = [name for name in head.column_names if _is_encoded(head, name)]
    lists = [name for name in head.column_names if not encoded and _is_pixel_list(schema, name)]
    pixels = () if encoded or lists else pixel_columns(schema)
    if len(encoded) + len(lists) == 0 and not pixels:
        return None
    images = [name for name in (*encoded, *lists) if image in (None, name)]
    if not images and not pixels:
        return None
    rest = [name for name in head.column_names if name not in (*encoded, *lists, *pixels)]
    split = next((name for name in rest if _is_split(head, name)), "")
    ids = next((name for name in rest if _is_id(head, name)), "")
    plain = [n for n in rest if n not in (split, ids) and _may_be_label(schema.field(n).type, n)]
    return ParquetRoles(
        images=tuple(images),
        encoded=images[0] if encoded else "",
        pixel_list=images[0] if lists else "",
        pixels=tuple(pixels),
        candidates=tuple(_most_certain(plain, [name for name, _ in names])),
        ids=ids,
        split=split,
        class_names=names,
    )


def pixel_columns(schema: pa.Schema) -> tuple[str, ...]:
    """The columns of numbers whose names count from 0 or 1 ("pixel0", "12", "1x1"), in the order of
    the file; none if they are fewer than an image has."""
    prefixes = {
        field.name: re.sub(r"\d.*", "", field.name).lower()
        for field in schema
        if is_number(field.type) and is_pixel_column(field.name)
    }
    counts = Counter(prefixes.values())
    return tuple(name for name, prefix in prefixes.items() if counts[prefix] >= MIN_VALUES)


def is_number(kind: pa.DataType) -> bool:
    """Whether values of this type are numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def list_value(kind: pa.DataType) -> pa.DataType:
    """The type of the values of lists, of lists of lists ...; extension types by their storage."""
    if isinstance(kind, pa.BaseExtensionType):
        return list_value(kind.storage_type)
    is_list = (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
    return list_value(kind.value_type) if is_list else kind


def encoded_cell(value: Any) -> bytes | None:
    """The bytes of a cell {bytes, path} or bytes."""
    if isinstance(value, dict):
        value = value.get("bytes")
    return value if isinstance(value, bytes) else None


def _is_encoded(head: pa.Table, name: str) -> bool:
    kind = head.schema.field(name).type
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        if index < 0 or not _is_binary(kind.field(index).type):
            return False
    elif not _is_binary(kind):
        return False
    cells = [cell for value in head[name].to_pylist() if (cell := encoded_cell(value))]
    return any(identify(cell)[0] for cell in cells)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_pixel_list(schema: pa.Schema, name: str) -> bool:
    kind = schema.field(name).type
    value = list_value(kind)
    words = words_of(name)
    named_label = not LABEL_WORDS.isdisjoint(words) or "bbox" in words or "embedding" in words
    return value is not kind and value != kind and is_number(value) and not named_label


def _is_split(head: pa.Table, name: str) -> bool:
    if not is_split_column(name):
        return False
    cells = {str(value) for value in head[name].to_pylist()}
    return bool(cells) and all(split_of_cell(name, cell) for cell in cells)


def _is_id(head: pa.Table, name: str) -> bool:
    kind = head.schema.field(name).type
    if not (is_id_column(name) or name_words("", name).is_ids) or not _is_plain(kind):
        return False
    cells = head[name].to_pylist()
    return len(set(cells)) == len(cells)


def _is_plain(kind: pa.DataType) -> bool:
    return _is_text(kind) or bool(pa.types.is_integer(kind))


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _may_be_label(kind: pa.DataType, name: str) -> bool:
    if is_group_column(name) or is_fold_column(name) or is_id_column(name) or is_unnamed(name):
        return False
    words = set(words_of(name))
    if name == "__index_level_0__" or (words & _OTHER_WORDS and not words & LABEL_WORDS):
        return False
    is_flag = pa.types.is_boolean(kind) or pa.types.is_floating(kind)
    return _is_plain(kind) or bool(is_flag)


def _most_certain(names: Sequence[str], with_classes: Sequence[str]) -> list[str]:
    """The columns that the file names classes for, else those that are called labels, else all."""
    for certain in (
        [name for name in names if name in with_classes],
        [name for name in names if not LABEL_WORDS.isdisjoint(words_of(name))],
    ):
        if certain:
            return certain
    return list(names)


def _class_names(schema: pa.Schema) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(column, names of its classes), from the metadata that Hugging Face's datasets writes."""
    try:
        about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = about["info"]["features"]
        found = {
            column: feature["names"]
            for column, feature in features.items()
            if feature.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()
    return tuple(
        (column, tuple(map(str, names)))
        for column, names in found.items()
        if isinstance(names, list) and len(set(map(str, names))) == len(names)
    )
