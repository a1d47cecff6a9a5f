"""Images without labels, stored as those of finished shards are: ``tools/shard --like``."""

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

from pipeline.errors import DataError, MisuseError
from pipeline.field_types import require_types, settings_values
from pipeline.options import flag_of
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import Manifest
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.label_sets import make_sets
from tools.download.name_index import Names
from tools.download.sources import Sources
from tools.images.encoding import Encoding
from tools.images.masks import MaskColors
from tools.images.pixel_range import PixelRange

# Options that say how images are stored.
IMAGE_OPTIONS = (
    *("encode", "quality", "longest_side", "shortest_side", "alpha", "max_pixels", "max_bytes"),
    *("verify", "pixel_range"),
)
# Others that mean something without labels.
_OTHER_OPTIONS = (
    *("src", "out", "like", "images", "zip_encoding", "follow_links", "seed", "dry_run"),
    *("workers", "engine", "shard_size", "max_rejected"),
)


@dataclass(frozen=True, kw_only=True)
class Like:
    """Finished shards: their manifest, and the fingerprint of the dataset. `option`: the option
    that names them and its value."""

    # Those that the shards decide, where they have their defaults.
    decided: ClassVar[tuple[str, ...]] = IMAGE_OPTIONS
    option: str
    manifest: Manifest
    fingerprint: str

    def settings(self, config: ShardConfig) -> ShardConfig:
        """`config` with those options of the shards that they decide, as far as it has the
        defaults. Raises ``DataError`` if the shards record impossible ones."""
        arguments = self.manifest.made_by.get("arguments", {})
        defaults = {field.name: field.default for field in fields(ShardConfig)}
        stored = {name: arguments.get(name) for name in self.decided}
        taken: dict[str, Any] = {
            name: settings_values(value)
            for name, value in stored.items()
            if value is not None and getattr(config, name) == defaults[name]
        }
        try:
            require_types(changed := replace(config, **taken))
        except (TypeError, MisuseError) as error:
            raise DataError(f"{self.option}: its made_by is damaged: {error}.") from error
        return changed

    def encoding(self, encoding: Encoding) -> Encoding | None:
        """`encoding` with what was measured for the shards; None if they don't record it."""
        measured = self.manifest.made_by.get("measured")
        if measured is None:
            return None
        pixels = measured["pixel_range"]
        return replace(
            encoding,
            photographs=measured["photographs"],
            pixel_range=encoding.pixel_range or (PixelRange(*pixels) if pixels else None),
        )

    def sources(self, index: FileIndex) -> Sources:
        """All images of the index, without labels, with the classes or targets of the shards.

        Raises ``DataError`` if there are none.
        """
        numbers = np.array(index.numbers, np.int64)
        if not len(numbers):
            raise DataError(f"{index.storage.url} holds no images: pass their folder as --src.")
        task, columns = self.manifest.task, max(len(self.manifest.classes), 1)
        special: dict[str, Any] = {}
        if task == "segmentation":
            gray = tuple((shade, shade, shade) for shade in range(columns))
            special["masks"] = index.take_or_empty(np.full(len(numbers), -1, np.int64))
            special["mask_colors"] = MaskColors(colors=gray)
        elif task != "classification":
            columns = len(self.manifest.targets) or columns
            none, missing = np.empty(0, np.int64), np.ones(len(numbers), np.bool_)
            special["targets"] = make_sets(none, none, missing, columns)
        return Sources(
            images=index.take(numbers),
            names=Names(index.images, numbers),
            task=task,
            labeled=np.zeros(len(numbers), np.bool_),
            labels=np.full(len(numbers), -1, np.int32),
            classes=self.manifest.classes,
            class_labels=self.manifest.labels,
            ordered=True,
            target_names=self.manifest.targets,
            splits=None,
            rejected=(),
            **special,
        )


def open_like(config: ShardConfig) -> Like | None:
    """The shards of --like; None without it. Raises ``DataError`` if they can't be opened,
    ``MisuseError`` for options about labels."""
    if config.like is None:
        return None
    for field in fields(ShardConfig):
        is_known = field.name in IMAGE_OPTIONS or field.name in _OTHER_OPTIONS
        if not is_known and getattr(config, field.name) != field.default:
            raise MisuseError(
                f"--like and {flag_of(field.name)} exclude each other: all images are stored "
                f"without labels, in split test."
            )
    dataset = Dataset(config.like)
    return Like(
        option=f"--like {config.like}", manifest=dataset.manifest, fingerprint=dataset.fingerprint
    )


def measured(encoding: Encoding, label_separator: str | None) -> dict[str, Any]:
    """What was measured on the images and found in the labels, for the manifest."""
    pixels = encoding.pixel_range
    return {
        "label_separator": label_separator,
        "photographs": encoding.photographs,
        "pixel_range": None if pixels is None else [pixels.low, pixels.high],
    }
