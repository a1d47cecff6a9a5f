"""Open a shard directory: it must be complete, and its manifest valid."""

from pathlib import Path

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import IMAGE_COMPONENTS, MANIFEST_NAME, TARGET_COMPONENTS, Manifest
from tools.writing.output_folder import UNFINISHED

_COMPONENTS = (IMAGE_COMPONENTS, *((name,) for name in IMAGE_COMPONENTS))


def open_shards(directory: Path) -> Dataset:
    """Open a complete shard directory with a valid manifest; raises ``DataError`` for others."""
    manifest = directory / MANIFEST_NAME
    if (directory / UNFINISHED).exists() and not manifest.exists():
        raise DataError(
            f"{directory} is not complete: tools/shard is still running or was interrupted. Run it "
            f"again with the same arguments."
        )
    dataset = Dataset(directory)
    require_valid(dataset.manifest, manifest)
    return dataset


def require_valid(manifest: Manifest, path: Path) -> None:
    """Raise ``DataError`` if the manifest at `path` has impossible values."""
    splits = list(manifest.splits.values())
    shards = [shard for split in splits for shard in split.shards]
    is_valid = {
        "task": manifest.task in TARGET_COMPONENTS,
        "classes": _are(str, manifest.classes),
        "labels": _are(str, manifest.labels, len(manifest.classes)),
        "targets": _are(str, manifest.targets),
        "splits": sum(len(split.shards) for split in splits) > 0
        and _are(str, [text for shard in shards for text in (shard.name, shard.sha256)])
        and _are_counts([count for shard in shards for count in (shard.samples, shard.bytes)])
        and all(_are_counts(split.class_counts, len(manifest.classes)) for split in splits)
        and all(_are_counts([split.labeled, split.unlabeled]) for split in splits),
        "files": isinstance(manifest.files, dict) and _are(str, [*manifest.files.values()]),
        "image_components": manifest.image_components in _COMPONENTS,
        "mean": _are(float, manifest.mean, 3),
        "std": _are(float, manifest.std, 3),
        "heights": _are_counts(manifest.heights, 3),
        "widths": _are_counts(manifest.widths, 3),
        "rejected": _are_counts([manifest.rejected]),
        "made_by": isinstance(manifest.made_by, dict),
    }
    for name, valid in is_valid.items():
        if not valid:
            raise DataError(
                f"{path} is damaged: the value of {name} is invalid. Copy it again, or make the "
                f"shards again with tools/shard."
            )


def _are(kind: type, values: object, count: int | None = None) -> bool:
    """Whether `values` are a sequence of this type, and `count` of them if given."""
    return (
        isinstance(values, (tuple, list))
        and all(type(value) is kind for value in values)
        and count in (None, len(values))
    )


def _are_counts(values: object, count: int | None = None) -> bool:
    return _are(int, values, count) and all(value >= 0 for value in values)  # type: ignore[attr-defined]
