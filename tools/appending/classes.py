"""Give the classes and targets of a download the numbers that finished shards have for them."""

from dataclasses import replace

import numpy as np

from pipeline.errors import MisuseError
from pipeline.printable import printable
from pipeline.storage.manifest import VOID, Manifest, label_digits
from pipeline.text import join_names, plural
from tools.config import ShardConfig
from tools.download.label_sets import as_sets, make_sets
from tools.download.sources import Sources, sort_classes


def with_stored_classes(sources: Sources, manifest: Manifest, config: ShardConfig) -> Sources:
    """The sources with the classes of the shards, and new ones behind them.

    Raises ``MisuseError`` if they have another task, other targets or, unless --new-classes add is
    given, other classes.
    """
    if sources.task != manifest.task:
        raise MisuseError(
            f"{config.src} is read as {sources.task}, but {config.out} is stored for "
            f"{manifest.task}: pass --task {manifest.task} if the download has such labels, or "
            f"another --out."
        )
    if sources.task == "regression":
        if sources.target_names != manifest.targets:
            raise MisuseError(
                f"{config.src} has the targets {join_names(sources.target_names, quote=True)}, but "
                f"{config.out} has {join_names(manifest.targets, quote=True)}: name the same "
                f"columns in this order with --label-column, or pass another --out."
            )
        return sources
    if sources.task == "segmentation":
        return _with_mask_classes(sources, manifest, config)
    return _with_classes(sources, manifest, config)


def _with_classes(sources: Sources, manifest: Manifest, config: ShardConfig) -> Sources:
    """Classes are found by the label that the download writes, else by their name."""
    labels = sources.class_labels or sources.classes
    numbers = {name: number for number, name in enumerate(manifest.classes)}
    numbers |= {label: number for number, label in enumerate(manifest.labels)}
    codes = np.array(
        [
            numbers.get(printable(label), numbers.get(printable(name), -1))
            for label, name in zip(labels, sources.classes, strict=True)
        ]
        # The last code is that of -1.
        + [-1],
        np.int32,
    )
    sets = None if sources.targets is None else as_sets(sources.targets)
    used = np.unique(sources.labels[sources.labels >= 0] if sets is None else sets.columns)
    new = [number for number in used.tolist() if codes[number] < 0]
    if not sources.ordered:
        by_text = {labels[number]: number for number in new}
        new = [by_text[text] for text in sort_classes(tuple(by_text))]
    codes[new] = len(manifest.classes) + np.arange(len(new))
    added = [printable(sources.classes[number]) for number in new]
    _check_new(added, manifest, config)
    sources = replace(
        sources,
        classes=(*manifest.classes, *added),
        class_labels=(*manifest.labels, *(printable(labels[number]) for number in new)),
        ordered=True,
    )
    if sets is None:
        return replace(sources, labels=codes[sources.labels])
    columns = codes[sets.columns].astype(np.int64)
    targets = make_sets(sets.rows, columns, sets.missing, len(sources.classes))
    return replace(sources, targets=targets)


def _with_mask_classes(sources: Sources, manifest: Manifest, config: ShardConfig) -> Sources:
    """The values of masks are classes by their place, so these must be the same."""
    names = tuple(map(printable, sources.classes))
    common = min(len(names), len(manifest.classes))
    if names[:common] != manifest.classes[:common]:
        raise MisuseError(
            f"The masks of {config.src} have the classes {join_names(names, quote=True)}, but "
            f"{config.out} has {join_names(manifest.classes, quote=True)}: give the same classes "
            f"in this order with --mask-colors, or pass another --out."
        )
    _check_new(list(names[common:]), manifest, config)
    classes = (*manifest.classes, *names[common:])
    return replace(sources, classes=classes, class_labels=classes, ordered=True)


def _check_new(added: list[str], manifest: Manifest, config: ShardConfig) -> None:
    if not added:
        return
    count = len(manifest.classes) + len(added)
    what = (
        f"{plural(len(added), 'class')} that {config.out} lacks ({join_names(added, quote=True)})"
    )
    if config.new_classes == "refuse":
        raise MisuseError(
            f"{config.src} has {what}: correct the labels, or pass --new-classes add, which puts "
            f"them behind the other {len(manifest.classes):,}."
        )
    widths = {
        "classification": label_digits(count) > manifest.label_digits,
        "multi-label": True,
        "segmentation": count > VOID,
    }
    if widths[manifest.task]:
        raise MisuseError(
            f"{config.src} has {what}. With {count:,} classes every target would be wider than "
            f"those that are stored: make all shards again with another --out."
        )
