"""Check the manifest, and that all files it lists are there and unchanged."""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.storage.manifest import (
    DUPLICATES_NAME,
    MANIFEST_NAME,
    REJECTED_NAME,
    TARGET_COMPONENTS,
    Manifest,
    index_name,
    masks_name,
    samples_name,
    sources_name,
    submission_name,
    targets_name,
)
from pipeline.text import plural
from tools.checking.findings import Finding
from tools.writing.output_folder import PLAN_NAME

# Readers may open such files as parts of the dataset: webdataset opens all tars of a folder.
_DATASET_SUFFIXES = (".tar", ".idx", ".npy", ".parquet")


def table_names(split: str, manifest: Manifest) -> list[str]:
    """The tables of a split."""
    names = [samples_name(split), sources_name(split)]
    if TARGET_COMPONENTS[manifest.task] == "target.npy":
        names.append(targets_name(split))
    if manifest.task == "segmentation":
        names.append(masks_name(split))
    names = list(map(manifest.table_name, names))
    if (submission := manifest.table_name(submission_name(split))) in manifest.files:
        names.append(submission)
    return names


def check_names(directory: Path, manifest: Manifest) -> Iterator[Finding]:
    """Files that a reader could mistake for parts of the dataset; none while an append is under
    way, whose files are not listed yet."""
    if (directory / PLAN_NAME).exists():
        return
    listed = {MANIFEST_NAME, REJECTED_NAME}
    for name, split in manifest.splits.items():
        shards = [shard.name for shard in split.shards]
        listed.update(shards, map(index_name, shards), table_names(name, manifest))
    for entry in sorted(directory.iterdir()):
        if entry.name.endswith(_DATASET_SUFFIXES) and entry.name not in listed:
            text = f"{MANIFEST_NAME} doesn't list it: delete it or move it elsewhere"
            yield Finding(file=entry.name, text=text)


def check_hashes(directory: Path, manifest: Manifest) -> Iterator[Finding]:
    """SHA-256 of all files but the tars and their ``.idx``."""
    names = [name for split in manifest.splits for name in table_names(split, manifest)]
    names += [name for name in (manifest.table_name(DUPLICATES_NAME),) if name in manifest.files]
    for name in [*names, manifest.table_name(REJECTED_NAME)]:
        try:
            with (directory / name).open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            yield Finding(file=name, text=f"it can't be read ({error.strerror})")
            continue
        if name not in manifest.files:
            yield Finding(file=name, text=f"{MANIFEST_NAME} has no sha256 for it")
        elif sha256 != manifest.files[name]:
            yield Finding(file=name, text=f"its sha256 differs from that in {MANIFEST_NAME}")


def check_manifest_text(directory: Path, manifest: Manifest) -> Iterator[Finding]:
    """The manifest, byte for byte."""
    if (directory / MANIFEST_NAME).read_bytes() != manifest.to_json().encode():
        yield Finding(file=MANIFEST_NAME, text="its text differs from what tools/shard writes")


def check_rejected(directory: Path, manifest: Manifest) -> Iterator[Finding]:
    """The number of rejected sources."""
    name = manifest.table_name(REJECTED_NAME)
    try:
        with (directory / name).open(newline="", encoding="utf-8") as file:
            listed = len(list(csv.reader(file))) - 1
    except (OSError, ValueError, csv.Error):
        return  # Its sha256 is wrong, and reported.
    if listed != manifest.rejected:
        text = f"it lists {plural(listed, 'source')}, {MANIFEST_NAME} says {manifest.rejected:,}"
        yield Finding(file=name, text=text)
