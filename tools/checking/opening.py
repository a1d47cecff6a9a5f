"""Shard directories as they are found: is one complete, and does its manifest make sense?"""

from pathlib import Path

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import IMAGE_COMPONENTS, MANIFEST_NAME, TARGET_COMPONENTS, Manifest
from tools.writing.store import UNFINISHED

_COMPONENTS = (IMAGE_COMPONENTS, *((name,) for name in IMAGE_COMPONENTS))


def open_shards(directory: Path) -> Dataset:
    """Open a complete shard directory whose manifest makes sense; else ``DataError``."""
    manifest = directory / MANIFEST_NAME
    if (directory / UNFINISHED).exists() and not manifest.exists():
        raise DataError(
            f"{directory} is not complete: tools/shard is at work there, or was ended in the "
            f"middle. Run it again with the same arguments."
        )
    dataset = Dataset(directory)
    require_sense(dataset.manifest, manifest)
    return dataset


def require_sense(manifest: Manifest, path: Path) -> None:
    """Raise ``DataError`` where the manifest at `path` holds what no manifest holds."""
    splits = list(manifest.splits.values())
    shards = [shard for split in splits for shard in split.shards]
    sensible = {
        "task": manifest.task in TARGET_COMPONENTS,
        "classes": _are(str, manifest.classes),
        "targets": _are(str, manifest.targets),
        "splits": sum(len(split.shards) for split in splits) > 0
        and _are(str, [text for shard in shards for text in (shard.name, shard.sha256)])
        and _counts([number for shard in shards for number in (shard.samples, shard.bytes)])
        and all(_counts(split.class_counts, len(manifest.classes)) for split in splits),
        "files": isinstance(manifest.files, dict) and _are(str, [*manifest.files.values()]),
        "image_components": manifest.image_components in _COMPONENTS,
        "mean": _are(float, manifest.mean, 3),
        "std": _are(float, manifest.std, 3),
        "heights": _counts(manifest.heights, 3),
        "widths": _counts(manifest.widths, 3),
        "rejected": _counts([manifest.rejected]),
        "made_by": isinstance(manifest.made_by, dict),
    }
    for name, is_sensible in sensible.items():
        if not is_sensible:
            raise DataError(
                f"{path} is damaged: its {name} make no sense. Copy it again, or make the shards "
                f"again with tools/shard."
            )


def _are(kind: type, values: object, count: int | None = None) -> bool:
    """Whether these are so many values of a type."""
    return (
        isinstance(values, (tuple, list))
        and all(type(value) is kind for value in values)
        and count in (None, len(values))
    )


def _counts(values: object, count: int | None = None) -> bool:
    return _are(int, values, count) and all(value >= 0 for value in values)  # type: ignore[attr-defined]
