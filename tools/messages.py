"""What the tool says: what it found, what it will do, how far it is, what it wrote."""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.storage.manifest import REJECTED_NAME, Manifest
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.image_files import ImageFiles
from tools.download.image_tables import MaskTable
from tools.download.mask_classes import colors_table
from tools.download.mask_pairs import MaskFiles
from tools.download.parts import Part
from tools.download.pixel_table import PixelTable
from tools.download.sources import Sources
from tools.text import plural
from tools.writing.dataset_stats import DatasetStats
from tools.writing.plan import Plan

_SHOWN_CLASSES = 5
_SHOWN_TABLES = 5
_UNCLASSED = ("regression", "segmentation")
_ENCODINGS = {
    "keep": "; images stay as they are where DALI reads them and they fit the limits",
    "jpeg": "; all images become JPEG of quality {quality}",
    "png": "; all images become PNG",
}


def describe_found(parts: Sequence[Part], index: FileIndex, config: ShardConfig) -> str:
    """What the download is, before anything is read in full, and which tables are left out."""
    text = "Found " + "; ".join(part.describe() for part in parts) + "."
    if any(isinstance(part, PixelTable) and len(part.shape) == 3 for part in parts):
        layout = (
            "planar (all R, all G, all B)"
            if _is_planar(parts)
            else "interleaved (R, G, B, R, G, B ...)"
        )
        other = "interleaved" if _is_planar(parts) else "planar"
        text += f" Pixels are read as {layout}; if colors look wrong, say --pixel-layout {other}."
    used = {part.table.name if isinstance(part, PixelTable) else part.name for part in parts}
    used |= {
        index.table_named(path) or "" for path in (config.class_names, config.mask_colors) if path
    }
    if any(isinstance(part, MaskFiles | MaskTable) for part in parts):
        colors = colors_table(index, config)
        if colors is not None:
            text += f" The masks' classes and colors are those of {colors}."
            used.add(colors)
    left = [table for table in index.tables if table not in used]
    if left:
        more = f" and {len(left) - _SHOWN_TABLES} more" if len(left) > _SHOWN_TABLES else ""
        text += f" Not used: {', '.join(left[:_SHOWN_TABLES])}{more}."
    if index.refused:
        first = index.refused[0]
        text += (
            f" Not looked at: {plural(len(index.refused), 'file')} (first: {first.path}, "
            f"{first.reason})."
        )
    return text


def describe_plan(sources: Sources, plan: Plan, config: ShardConfig) -> str:
    """What will be done."""
    splits = " and ".join(f"{end - first:,} {name}" for name, (first, end) in plan.bounds.items())
    # What `auto` settles on is said with the costs.
    encoding = _ENCODINGS.get(config.encode, "").format(quality=config.quality)
    sentences = [
        f"{_counted(sources, plan)} become {splits} ({_division(sources, plan, config)}), shuffled "
        f"with seed {config.seed}{encoding}."
    ]
    if plan.singles and "val" in plan.bounds:
        sentences.append(
            f"{plural(plan.singles, 'class')} with a single image: train has it, validation "
            f"has none of it."
        )
    sentences += _doubts(sources, plan, config)
    if sources.rejected:
        place, reason = sources.rejected[0]
        unusable = plural(len(sources.rejected), "source")
        sentences.append(f"{unusable} unusable (first: {place}: {reason}).")
    return " ".join([*sentences, *sources.notes])


def _doubts(sources: Sources, plan: Plan, config: ShardConfig) -> list[str]:
    """What may not be meant so."""
    doubts = []
    resized = config.longest_side is not None or config.shortest_side is not None
    if sources.task == "regression" and resized:
        doubts.append("Targets stay as they are: places in the image, in pixels, then don't fit.")
    numbers = all(name.replace(".", "", 1).isdecimal() for name in plan.classes)
    if sources.task == "classification" and numbers and 2 * len(plan.classes) > len(sources) > 20:
        doubts.append("Nearly every label is a number of its own: for those, --task regression.")
    return doubts


def _counted(sources: Sources, plan: Plan) -> str:
    """How many images of what."""
    if sources.task == "regression":
        return f"{plural(len(sources), 'image')} with {_listed(sources.target_names)} (regression)"
    classes = f"{plural(len(plan.classes), 'class')} ({_listed(plan.classes)})"
    if sources.task == "classification":
        return f"{plural(len(sources), 'labeled image')} of {classes}"
    what = "with masks" if sources.task == "segmentation" else "with any"
    return f"{plural(len(sources), 'image')} {what} of {classes} ({sources.task})"


def _listed(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _SHOWN_CLASSES else ""
    return ", ".join(repr(name) for name in names[:_SHOWN_CLASSES]) + more


def describe_result(
    manifest: Manifest, tally: DatasetStats, *, out: str, seconds: float
) -> list[str]:
    """The last lines."""
    lines = []
    if tally.lossy:
        before, after = tally.lossy_bytes_before / 2**20, tally.lossy_bytes_after / 2**20
        quality = (
            f", PSNR {tally.psnr_sum / tally.psnr_count:.1f} dB on average "
            f"({plural(tally.psnr_count, 'image')} measured)"
            if tally.psnr_count
            else ""
        )
        lines.append(
            f"Re-encoded {plural(tally.lossy, 'image')} as JPEG: {before:,.1f} MiB before, "
            f"{after:,.1f} MiB after{quality}."
        )
    if manifest.rejected:
        lines.append(f"Rejected {plural(manifest.rejected, 'source')}: see {out}/{REJECTED_NAME}.")
    splits = ", ".join(f"{split.samples:,} {name}" for name, split in manifest.splits.items())
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    mebibytes = sum(shard.bytes for shard in shards) / 2**20
    lines.append(
        f"Wrote {out}: {splits} in {plural(len(shards), 'shard')}, {mebibytes:,.1f} MiB, "
        f"{tally.samples / seconds:,.0f} images/s. Next: tools/show {out}"
    )
    return lines


def _division(sources: Sources, plan: Plan, config: ShardConfig) -> str:
    if "val" not in plan.bounds and (sources.splits is None or config.val is not None):
        return "no validation split"
    drawn = "drawn at random" if sources.task in _UNCLASSED else "drawn class by class"
    drawn += "" if sources.groups is None else ", groups left whole"
    if sources.splits is None:
        return drawn
    if config.val is not None:
        return f"{drawn} from all the download's splits together, as --val says"
    if 2 in np.unique(sources.splits) and "test" not in plan.bounds:
        return "the download's own train and test, the labeled test serving as val"
    return "the download's own"


def _is_planar(parts: Sequence[Part]) -> bool:
    return any(isinstance(part, PixelTable) and part.planar for part in parts)


SHOWN_OF_A_SPLIT = 3


def preview(sources: Sources, plan: Plan) -> Iterator[str]:
    """A line each for the first sources of each split, in the order of the download: what named
    it, the file, what it shows, the split."""
    for split, (first, end) in plan.bounds.items():
        for number in np.sort(plan.order[first:end])[:SHOWN_OF_A_SPLIT].tolist():
            place, name = sources.place(number), sources.names[number]
            source = name if place == name else f"{place} -> {name}"
            yield f"  {split}: {source}: {_shown(sources, plan, number)}"


def _shown(sources: Sources, plan: Plan, number: int) -> str:
    if isinstance(sources.masks, ImageFiles):
        return sources.masks.paths[number]
    if sources.targets is None:
        return plan.classes[int(plan.labels[number])]
    row = sources.targets[number].tolist()
    if sources.task == "regression":
        return ", ".join(f"{value:g}" for value in row)
    shown = [name for name, value in zip(plan.classes, row, strict=True) if value]
    return ", ".join(shown) or "none"
