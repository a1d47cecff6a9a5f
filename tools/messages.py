"""What ``tools/shard`` prints: what it found, what it will do, what it wrote."""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.storage.manifest import REJECTED_NAME, Manifest
from pipeline.text import join_names, plural
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.image_files import ImageFiles
from tools.download.label_sets import as_table
from tools.download.sources import Sources
from tools.download.unreadable_formats import describe_unreadable
from tools.images.pixel_range import dark_text
from tools.label_warnings import label_warnings
from tools.pixel_tables.pixel_table import PixelTable
from tools.readings.detect import Detection
from tools.readings.image_tables import MaskTable
from tools.readings.mask_classes import find_colors_table
from tools.readings.mask_pairs import MaskFiles
from tools.readings.unlabeled import UnlabeledImages
from tools.writing.dataset_stats import DatasetStats
from tools.writing.plan import Plan
from tools.writing.splits import LEFT_OUT

_ENCODINGS = {
    # The reason for the choice of `auto` is printed with the costs.
    "auto": "",
    "keep": "; images that DALI reads and that are within the limits stay unchanged",
    "jpeg": "; all images are converted to JPEG of quality {quality}",
    "png": "; all images are converted to PNG",
}
_PREVIEWED_SOURCES = 3
_SHOWN_PARTS = 8


def describe_index(index: FileIndex) -> Iterator[str]:
    """Sentences about what the files' names were taken for, and what was left out."""
    yield from index.notes
    count, first = index.left_out
    if count:
        left_out = plural(count, "file") if count > 1 else "1 file"
        yield f"Left out {left_out} or folders of other programs (first: {first})."
    yield from describe_unreadable(index.unreadable)


def describe_parts(detection: Detection, index: FileIndex, config: ShardConfig) -> str:
    """The parts of the download, the options that correct a guess, and the unused tables."""
    parts = detection.parts
    phrases = [phrase for part in parts if (phrase := part.describe())]
    further = len(phrases) - _SHOWN_PARTS
    shown = "; ".join(phrases[:_SHOWN_PARTS]) + (f" and {further:,} more" if further > 0 else "")
    sentences = [f"Found {shown}.", *detection.notes]
    tables = [part for part in parts if isinstance(part, PixelTable)]
    if any(len(table.shape) == 3 for table in tables):
        orders = {"interleaved": "RGBRGB...", "planar": "all R, all G, all B"}
        other = "interleaved" if tables[0].planar else "planar"
        order = orders[config.pixel_layout]
        sentences.append(
            f"Pixel values are read as {config.pixel_layout} ({order}); if colors look wrong, "
            f"pass --pixel-layout {other}."
        )
    if tables and (text := _range_text(tables)):
        sentences.append(text)
    used = {part.table.name if isinstance(part, PixelTable) else part.name for part in parts}
    used |= {
        index.table_named(path) or "" for path in (config.class_names, config.mask_colors) if path
    }
    if any(isinstance(part, MaskFiles | MaskTable) for part in parts):
        colors = find_colors_table(index, config)
        if colors is not None:
            sentences.append(f"{colors} gives the masks' classes and colors.")
            used.add(colors)
    used |= {submission.table.name for submission in detection.submissions}
    for part in parts:
        if isinstance(part, UnlabeledImages):
            used |= {named.table.name for named in part.tests}
    if unused := [table for table in index.tables if table not in used]:
        sentences.append(f"Not used: {join_names(unused)}.")
    if index.skipped:
        path, reason = index.skipped[0].path, index.skipped[0].reason
        files = plural(len(index.skipped), "file")
        sentences.append(f"Skipped {files} (first: {path}, {reason}).")
    return " ".join(sentences)


def _range_text(tables: Sequence[PixelTable]) -> str:
    """What becomes of the pixels of tables, "" if they stay and are not dark."""
    if tables[0].pixel_range is not None:
        return tables[0].pixel_range.text
    brightest = max(table.brightest for table in tables)
    return "" if brightest < 0 else dark_text(brightest)


def describe_evidence(detection: Detection, config: ShardConfig) -> Iterator[str]:
    """How the labels may be read, and what each column looks like, as far as the options ask."""
    if config.dry_run or config.explain:
        yield from detection.evidence
    if config.explain:
        yield from detection.columns


def describe_plan(sources: Sources, plan: Plan, config: ShardConfig) -> str:
    """The splits and the encoding, and warnings about what may not be intended."""
    encoding = _ENCODINGS[config.encode].format(quality=config.quality)
    sentences = [
        f"{_describe_sources(sources, plan)}: {_describe_splits(sources, plan)}, shuffled "
        f"with seed {config.seed}{encoding}."
    ]
    if plan.choice.singles and "val" in plan.bounds:
        classes = plural(plan.choice.singles, "class")
        sentences.append(f"{classes} with a single image: it is in train, none is in val.")
    sentences += _without_labels(sources, plan, config)
    sentences += _equal_files(plan)
    sentences += label_warnings(sources, plan, config)
    if sources.rejected:
        name, reason = sources.rejected[0]
        rejected = plural(len(sources.rejected), "source")
        sentences.append(f"Rejected {rejected} (first: {name}: {reason}).")
    return " ".join([*sentences, *sources.notes])


def _equal_files(plan: Plan) -> Iterator[str]:
    """What happens to sources with equal files."""
    if plan.equal is None:
        return
    if copies := int(np.sum(plan.equal.first != np.arange(len(plan.labels)))):
        have = "has" if copies == 1 else "have"
        sentence = f"{plural(copies, 'image')} {have} the same file as another one"
        what = "one of each is stored" if plan.equal.drop else "the draw keeps them together"
        yield f"{sentence}: {what}."


def _describe_sources(sources: Sources, plan: Plan) -> str:
    """A phrase such as "40 labeled images of 2 classes ('cat', 'dog')"."""
    count = int(sources.has_label.sum())
    if not count:
        return f"{plural(len(sources), 'image')} without labels"
    if sources.task == "regression":
        targets = join_names(sources.target_names, quote=True)
        return f"{plural(count, 'image')} with {targets} (regression)"
    classes = f"{plural(len(plan.classes), 'class')} ({join_names(plan.classes, quote=True)})"
    if sources.task == "classification":
        return f"{plural(count, 'labeled image')} of {classes}"
    labels = "masks" if sources.task == "segmentation" else "any"
    return f"{plural(count, 'image')} with {labels} of {classes} ({sources.task})"


def _without_labels(sources: Sources, plan: Plan, config: ShardConfig) -> Iterator[str]:
    """What happens to the images without labels."""
    unlabeled = ~sources.has_label
    left_out = int(np.sum(unlabeled & (plan.choice.splits == LEFT_OUT)))
    if stored := int(unlabeled.sum()) - left_out:
        are = "is" if stored == 1 else "are"
        yield f"{plural(stored, 'test image')} without labels {are} stored without a target."
    if left_out:
        images = plural(left_out, "test image")
        drop = config.unlabeled == "drop"
        reason = "of --unlabeled drop" if drop else "--test as-val uses test as val"
        yield f"Left out {images} without labels, because {reason}."


def _describe_splits(sources: Sources, plan: Plan) -> str:
    """A phrase such as "52 train, 8 val (drawn from train, stratified by class) and 18 test"."""
    counts = {name: f"{end - first:,} {name}" for name, (first, end) in plan.bounds.items()}
    if "val" in counts:
        counts["val"] += f" ({_describe_val(sources, plan)})"
    *others, last = counts.values()
    splits = f"{', '.join(others)} and {last}" if others else last
    has_none = "train" in counts and "val" not in counts
    return f"{splits} (no validation split)" if has_none else splits


def _describe_val(sources: Sources, plan: Plan) -> str:
    origin = " and ".join(plan.choice.val_from)
    if not plan.choice.is_drawn:
        return f"the download's {'labeled test' if origin == 'test' else origin}"
    drawn = "random split" if sources.splits is None else f"drawn from {origin}"
    if len(plan.choice.val_from) > 1:
        drawn += " because of --val"
    if sources.task in ("classification", "multi-label"):
        drawn += ", stratified by class"
    return drawn + ("" if sources.groups is None else ", groups not divided")


def describe_result(
    manifest: Manifest, stats: DatasetStats, *, out: str, seconds: float
) -> Iterator[str]:
    """What was re-encoded, rejected and written, a sentence each."""
    if stats.lossy:
        before, after = stats.lossy_bytes_before / 2**20, stats.lossy_bytes_after / 2**20
        psnr = ""
        if stats.psnr_count:
            measured = plural(stats.psnr_count, "image")
            mean = stats.psnr_sum / stats.psnr_count
            psnr = f", mean PSNR {mean:.1f} dB (of {measured})"
        yield (
            f"Re-encoded {plural(stats.lossy, 'image')} as JPEG: {before:,.1f} MiB before, "
            f"{after:,.1f} MiB after{psnr}."
        )
    if manifest.rejected:
        name = manifest.table_name(REJECTED_NAME)
        yield f"Rejected {plural(manifest.rejected, 'source')}: see {out}/{name}."
    if manifest.history:
        added = manifest.history[-1].samples
        samples = ", ".join(f"{count:,} {name}" for name, count in added.items())
        yield f"Added {samples}; the samples, shards and bytes that stood are as they were."
    splits = ", ".join(f"{split.samples:,} {name}" for name, split in manifest.splits.items())
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    mebibytes = sum(shard.bytes for shard in shards) / 2**20
    yield (
        f"Wrote {out}: {splits} in {plural(len(shards), 'shard')}, {mebibytes:,.1f} MiB, "
        f"{stats.samples / seconds:,.0f} images/s. Next: tools/show {out}"
    )


def preview(sources: Sources, plan: Plan) -> Iterator[str]:
    """A line for each of the first sources of each split: origin, file and target."""
    for split, (first, end) in plan.bounds.items():
        for number in np.sort(plan.order[first:end])[:_PREVIEWED_SOURCES].tolist():
            origin, name = sources.origin(number), sources.names[number]
            source = name if origin == name else f"{origin} -> {name}"
            yield f"  {split}: {source}: {_target(sources, plan, number)}"


def _target(sources: Sources, plan: Plan, number: int) -> str:
    if not sources.has_label[number]:
        return "no label"
    if isinstance(sources.masks, ImageFiles):
        return sources.masks.paths[number]
    if sources.targets is None:
        return plan.classes[int(plan.labels[number])]
    row = as_table(sources.targets[np.array([number])])[0].tolist()
    if sources.task == "regression":
        return ", ".join(f"{value:g}" for value in row)
    labels = [name for name, value in zip(plan.classes, row, strict=True) if value]
    return ", ".join(labels) or "none"
