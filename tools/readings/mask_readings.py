"""Readings of mask files that pair with images by their names."""

import sys

import numpy as np

from pipeline.errors import MisuseError
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.readings.mask_classes import read_mask_classes
from tools.readings.mask_pairs import MaskFiles, Pairs, find_mask_pairs, pairs_by_template
from tools.readings.mask_survey import SURVEYED_MASKS, MaskMeaning, nearest_note, numbered, survey
from tools.readings.reading import Integers, Kind, Reading
from tools.readings.split_columns import folders_differ


def mask_readings(index: FileIndex, config: ShardConfig) -> list[Reading]:
    """The readings of masks in folders beside those of the images, or beside the images: one, or
    one for each kind of mask folder."""
    kinds = find_mask_pairs(index, config.masks)
    readings = []
    for kind, pairs in kinds.items():
        first = f"{index.images[pairs[0, 0]]} and {index.images[pairs[0, 1]]}"
        rule, words = f"their names (first: {first})", ("--task", "segmentation")
        if len(kinds) > 1:
            words = ("--masks", kind)
        readings.append(_reading(index, config, pairs, rule=rule, words=words))
    return readings


def mask_numbers(index: FileIndex, config: ShardConfig) -> frozenset[int]:
    """Numbers of the images that are masks of others."""
    pairs = find_mask_pairs(index, config.masks).values()
    return frozenset(number for kind in pairs for number in kind[:, 1].tolist())


def template_reading(index: FileIndex, config: ShardConfig, template: str) -> Reading:
    """The reading of --mask-template; raises ``MisuseError``."""
    if config.task not in ("auto", "segmentation"):
        raise MisuseError(f"--mask-template is for segmentation, not for --task {config.task}.")
    return _reading(
        index,
        config,
        pairs_by_template(index, template),
        rule=f"the template {template}",
        words=("--mask-template", template),
    )


def mask_meaning(index: FileIndex, config: ShardConfig, masks: Integers) -> MaskMeaning:
    """What the pixels of `masks` mean: by a table of colors, else as measured on some of them."""
    table = read_mask_classes(index, config)
    step = max(1, len(masks) // SURVEYED_MASKS)
    files = (data for _, data in index.take(masks[::step]).load(sys.maxsize))
    readable = [data for data in files if isinstance(data, bytes)]
    if table is None:
        return survey(readable, config.mask_threshold)
    classes, colors = table
    note = nearest_note(readable, colors)
    if note and config.mask_colors is None:
        return numbered(readable, classes) or MaskMeaning(classes, colors, note)
    return MaskMeaning(classes, colors, note)


def _reading(
    index: FileIndex, config: ShardConfig, pairs: Pairs, *, rule: str, words: tuple[str, ...]
) -> Reading:
    meaning = mask_meaning(index, config, pairs[:, 1])
    part = MaskFiles(
        option=" ".join(words),
        has_splits=folders_differ([index.images[n] for n in pairs[:, 0].tolist()]),
        pairs=pairs,
        rule=rule,
        classes=meaning.classes,
        colors=meaning.colors,
    )
    return Reading(
        kind=Kind.MASK_FILES,
        parts=(part,),
        words=words,
        task="segmentation",
        images=np.unique(pairs[:, 0]),
        masks=frozenset(pairs[:, 1].tolist()),
        notes=(meaning.note,) if meaning.note else (),
    )
