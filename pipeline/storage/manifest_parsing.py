"""Parse ``dataset.json``, which may come from a stranger or be damaged."""

from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.storage.answers import about_beginning
from pipeline.storage.manifest import (
    IMAGE_COMPONENTS,
    READABLE_VERSIONS,
    SPLITS,
    TARGET_COMPONENTS,
    VOID,
    Addition,
    Manifest,
    Shard,
    Split,
    own_sha256,
    shard_name,
)
from pipeline.storage.stated_values import (
    Fields,
    InvalidValueError,
    any_object,
    file_name,
    integer,
    list_of,
    number,
    object_of,
    one_of,
    optional,
    parse_json,
    sha256_hex,
    text,
    three,
    within,
)

# Upper limits. Keys and labels have 32 bits.
MAX_CLASSES = 2**20
MAX_SAMPLES = 2**32 - 1
MAX_SHARDS = 2**20
MAX_SHARD_BYTES = 2**44
MAX_SIDE_PX = 2**24
MAX_APPENDS = 2**16
# 400,000 shards, which are 100 TB at 256 MiB each.
MAX_MANIFEST_BYTES = 2**26

_COMPONENTS = ([*IMAGE_COMPONENTS], *([name] for name in IMAGE_COMPONENTS))


def parse_manifest(data: bytes, *, origin: str | Path) -> Manifest:
    """The manifest in the bytes of ``dataset.json``.

    Raises ``DataError`` with the name `origin`, the field and its value if they are no manifest, if
    a value is impossible or if the file's own SHA-256 is another.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise DataError(
            f"{origin} is longer than {MAX_MANIFEST_BYTES:,} bytes, so it is not read: it is not a "
            f"manifest that tools/shard wrote, or has too many shards.{about_beginning(data)}"
        )
    try:
        fields = Fields(parse_json(data.decode()))
        version = fields.take("version", lambda value: value)
        if type(version) is not int or version not in READABLE_VERSIONS:
            raise DataError(
                f"{origin} has format version {version!r:.60}, but this shardline reads versions "
                f"{' and '.join(map(str, READABLE_VERSIONS))}: make the shards again with "
                f"tools/shard, or install the version of shardline that wrote them."
            )
        stated = fields.take_if_there("sha256", sha256_hex)
        if stated is not None and own_sha256(data, stated) != stated:
            raise DataError(
                f"{origin} is damaged: its sha256 is not the one that it states. Copy it again, or "
                f"make the shards again with tools/shard."
            )
        manifest = _manifest(fields, version, has_own_sha256=stated is not None)
        fields.end()
    except InvalidValueError as error:
        raise DataError(
            f"{origin} is damaged or not a manifest that tools/shard wrote: {error}. Copy it "
            f"again, or make the shards again with tools/shard."
        ) from error
    except ValueError as error:
        raise DataError(
            f"{origin} is not a manifest that tools/shard wrote, but {len(data):,} bytes of "
            f"something else: copy it again, or make the shards again.{about_beginning(data)}"
        ) from error
    return manifest


def _manifest(fields: Fields, version: int, *, has_own_sha256: bool) -> Manifest:
    task = fields.take("task", one_of(*TARGET_COMPONENTS))
    regression = task == "regression"
    most = VOID if task == "segmentation" else MAX_CLASSES
    classes = fields.take("classes", list_of(text, int(not regression), 0 if regression else most))
    labels = classes
    if version > 2:
        labels = fields.take("labels", list_of(text, len(classes), len(classes)))
    targets = fields.take(
        "targets", list_of(text, int(regression), MAX_CLASSES if regression else 0)
    )
    splits = {}
    for name, value in fields.take("splits", object_of(one_of(*SPLITS), any_object)).items():
        check = partial(_split, name=name, task=task, classes=len(classes), version=version)
        splits[name] = within(f".splits.{name}", check, value)
    if not splits:
        raise InvalidValueError({}, "an object with a split", ".splits")
    return Manifest(
        task=task,
        classes=classes,
        labels=labels,
        targets=targets,
        splits=splits,
        files=fields.take("files", object_of(file_name, sha256_hex)),
        image_components=tuple(fields.take("image_components", one_of(*_COMPONENTS))),
        mean=three(fields.take("mean", list_of(number(0, 1), 3, 3))),
        std=three(fields.take("std", list_of(number(0, 1), 3, 3))),
        heights=_spread(fields, "heights"),
        widths=_spread(fields, "widths"),
        rejected=fields.take("rejected", integer(0, MAX_SAMPLES)),
        made_by=fields.take("made_by", _made_by),
        version=version,
        history=fields.take_if_there("history", list_of(_addition, 1, MAX_APPENDS)) or (),
        has_own_sha256=has_own_sha256,
    )


def _split(value: object, *, name: str, task: str, classes: int, version: int) -> Split:
    fields = Fields(value)
    shards = fields.take("shards", list_of(_shard, 1, MAX_SHARDS))
    for place, shard in enumerate(shards):
        digits = shard.name.removeprefix(f"{name}-").removesuffix(".tar")
        if not (digits.isdecimal() and shard.name == shard_name(name, int(digits))):
            raise InvalidValueError(
                shard.name, f"a name such as {shard_name(name, place)}", f".shards[{place}].name"
            )
        if place and shard.name <= shards[place - 1].name:
            raise InvalidValueError(
                shard.name, "after the shard before it", f".shards[{place}].name"
            )
    samples = within(".samples", integer(1, MAX_SAMPLES), sum(shard.samples for shard in shards))
    labeled = samples if version == 2 else fields.take("labeled", integer(0, samples))
    counted = 0 if task == "regression" else classes
    counts = fields.take("class_counts", list_of(integer(0, labeled), counted, counted))
    if task == "classification" and sum(counts) != labeled:
        raise InvalidValueError(
            sum(counts), f"in sum the {labeled} labeled samples", ".class_counts"
        )
    fields.end()
    return Split(shards=shards, labeled=labeled, class_counts=counts)


def _shard(value: object) -> Shard:
    fields = Fields(value)
    shard = Shard(
        name=fields.take("name", file_name),
        samples=fields.take("samples", integer(1, MAX_SAMPLES)),
        bytes=fields.take("bytes", integer(1, MAX_SHARD_BYTES)),
        sha256=fields.take("sha256", sha256_hex),
    )
    fields.end()
    return shard


def _addition(value: object) -> Addition:
    fields = Fields(value)
    numbers = object_of(one_of(*SPLITS), integer(1, MAX_SAMPLES))
    addition = Addition(
        after=fields.take("after", sha256_hex),
        src=fields.take("src", text),
        tool=fields.take("tool", text),
        arguments=fields.take("arguments", any_object),
        classes=fields.take("classes", integer(0, MAX_CLASSES)),
        shards=fields.take("shards", numbers),
        samples=fields.take("samples", numbers),
    )
    fields.end()
    return addition


def _spread(fields: Fields, name: str) -> tuple[int, int, int]:
    low, median, high = fields.take(name, list_of(integer(1, MAX_SIDE_PX), 3, 3))
    if not low <= median <= high:
        raise InvalidValueError([low, median, high], "in ascending order", f".{name}")
    return low, median, high


def _made_by(value: object) -> dict[str, Any]:
    """The program that wrote the shards: a tool, its arguments, and what it measured."""
    fields = Fields(value)
    fields.take_if_there("tool", text)
    fields.take_if_there("arguments", any_object)
    if (measured := fields.take_if_there("measured", any_object)) is not None:
        within(".measured", _measured, measured)
    return any_object(value)


def _measured(value: object) -> None:
    fields = Fields(value)
    fields.take("photographs", one_of(*IMAGE_COMPONENTS))
    fields.take("pixel_range", optional(list_of(number(), 2, 2)))
