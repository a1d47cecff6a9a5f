"""The manifest, and the files that it speaks of: are they there, and what they were?"""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.storage.manifest import (
    MANIFEST_NAME,
    REJECTED_NAME,
    TARGET_COMPONENTS,
    Manifest,
    Split,
    index_name,
    masks_name,
    samples_name,
    shard_name,
    sources_name,
    targets_name,
)
from tools.checking.findings import Finding
from tools.text import plural
from tools.writing.store import UNFINISHED

# Readers may take such files for parts of the dataset: webdataset opens all tars of a folder.
_MISTAKABLE = (".tar", ".idx", ".npy", ".parquet")


def table_names(split: str, manifest: Manifest) -> list[str]:
    """The tables of a split."""
    names = [samples_name(split), sources_name(split)]
    if TARGET_COMPONENTS[manifest.task] == "target.npy":
        names.append(targets_name(split))
    if manifest.task == "segmentation":
        names.append(masks_name(split))
    return names


def check_names(directory: Path, manifest: Manifest) -> Iterator[Finding]:
    """Shards are called as they should be; what else lies there is not called like one."""
    known = {MANIFEST_NAME, REJECTED_NAME}
    for name, split in manifest.splits.items():
        yield from _check_shard_names(name, split)
        shards = [shard.name for shard in split.shards]
        known.update(shards, map(index_name, shards), table_names(name, manifest))
    for entry in sorted(directory.iterdir()):
        if entry.name == UNFINISHED:
            yield Finding(file=entry.name, text="it was left by tools/shard: delete it")
        elif entry.name.endswith(_MISTAKABLE) and entry.name not in known:
            text = f"{MANIFEST_NAME} doesn't speak of it: delete it, or move it elsewhere"
            yield Finding(file=entry.name, text=text)


def check_sums(directory: Path, manifest: Manifest) -> Iterator[Finding]:
    """The files beside the tars and their ``.idx``, by their SHA-256."""
    names = [name for split in manifest.splits for name in table_names(split, manifest)]
    for name in [*names, REJECTED_NAME]:
        try:
            with (directory / name).open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            yield Finding(file=name, text=f"it can't be read ({error.strerror})")
            continue
        if name not in manifest.files:
            yield Finding(file=name, text=f"{MANIFEST_NAME} holds no sha256 of it")
        elif sha256 != manifest.files[name]:
            yield Finding(file=name, text=f"its sha256 is not the one in {MANIFEST_NAME}")


def check_form(directory: Path, manifest: Manifest) -> Iterator[Finding]:
    """Whether the manifest is written as tools/shard writes it."""
    if (directory / MANIFEST_NAME).read_bytes() != manifest.to_json().encode():
        yield Finding(
            file=MANIFEST_NAME, text="it is not in the form in which tools/shard wrote it"
        )


def check_rejected(directory: Path, manifest: Manifest) -> Iterator[Finding]:
    """Whether all rejected sources are listed."""
    try:
        with (directory / REJECTED_NAME).open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, ValueError, csv.Error):
        return  # Its sha256 is wrong, too.
    if len(rows) - 1 != manifest.rejected:
        text = f"it lists {plural(len(rows) - 1, 'source')}, {MANIFEST_NAME} {manifest.rejected:,}"
        yield Finding(file=REJECTED_NAME, text=text)


def _check_shard_names(name: str, split: Split) -> Iterator[Finding]:
    """Their numbers rise; one is missing where no source of a shard could be used."""
    names = [shard.name for shard in split.shards]
    for shard in names:
        digits = shard.removeprefix(f"{name}-").removesuffix(".tar")
        if not digits.isdecimal() or shard != shard_name(name, int(digits)):
            yield Finding(file=MANIFEST_NAME, text=f"it calls a shard of {name} {shard!r}")
    if names != sorted(set(names)):
        yield Finding(file=MANIFEST_NAME, text=f"the shards of {name} are not in order")
