"""What is in a shard directory, said in tables and drawn in one picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from pipeline.errors import DataError, MisuseError
from pipeline.storage.manifest import REJECTED_NAME, sample_key
from tools.checking.opening import open_shards
from tools.console import Output
from tools.images.codec import Pixels
from tools.showing.contact_sheet import draw
from tools.showing.dataset_summary import DatasetSummary, byte_unit, made_with, reasons, spread_of
from tools.showing.sample_choice import pick
from tools.showing.sheet_layout import Layout
from tools.showing.tiles import draw_tiles
from tools.text import plural

# Of more classes than this, those with most samples and those with fewest are listed.
SHOWN_CLASSES = 20
_RAREST = 5
_SHOWN_REASONS = 12
MEBIBYTE = 2**20


def show_shards(
    directory: Path, *, out: Path, split: str | None, seed: int, all_classes: bool, workers: int
) -> None:
    """Say what the shards hold and draw it into the PNG `out`; raises ``DataError`` where the
    shards can't be read or `out` can't be written."""
    _require_place(out)
    summary = DatasetSummary.from_dataset(open_shards(directory))
    split = _split_to_draw(summary, split)
    output = Output()
    for part in describe(summary, all_classes=all_classes):
        if isinstance(part, str):
            output.print(part)
        else:
            output.console.print(part)
    sheet = pick(summary, split, seed=seed)
    layout = Layout(sheet=sheet, legend=summary.manifest.task == "segmentation")
    tiles = draw_tiles(summary, layout, workers)
    _write(summary, layout, tiles, out)
    output.print(f"The picture: {out}")
    places = zip(sheet.rows.tolist(), tiles, strict=True)
    damaged = [row for row, tile in places if tile is None and row >= 0]
    if damaged:
        key = sample_key(int(summary.splits[split].samples["key"][damaged[0]]))
        output.print(
            f"Of its samples {len(damaged)} can't be shown, the first is {key} of {split}. What "
            f"is wrong says: tools/check {directory}"
        )


def describe(summary: DatasetSummary, *, all_classes: bool) -> list[str | Table]:
    """Sentences and tables, in order."""
    manifest = summary.manifest
    parts: list[str | Table] = [
        f"{summary.dataset.directory}: {manifest.task}, {plural(summary.samples, 'sample')}"
        + (f" of {plural(len(manifest.classes), 'class')}" if manifest.classes else "")
        + f"; images are {' and '.join(manifest.image_components)}.",
        _split_table(summary),
        _image_table(summary),
        f"Mean {_channels(manifest.mean)}, deviation {_channels(manifest.std)} (R, G, B; white is "
        f"1).",
    ]
    if manifest.classes:
        parts.append(_class_table(summary, all_classes=all_classes))
    if manifest.targets:
        parts.append(_target_table(summary))
    options = made_with(manifest.made_by.get("arguments", {}))
    said = f"with {options}; all else as by default" if options else "as by default"
    parts.append(f"Made by {manifest.made_by.get('tool', 'a tool unknown')} {said}.")
    return [*parts, *_rejections(summary)]


def _split_table(summary: DatasetSummary) -> Table:
    table = _table("split", "samples", "shards", "MiB")
    for name, split in summary.manifest.splits.items():
        size_bytes = sum(shard.bytes for shard in split.shards)
        shards = f"{len(split.shards):,}"
        table.add_row(name, f"{split.samples:,}", shards, f"{size_bytes / MEBIBYTE:,.1f}")
    return table


def _image_table(summary: DatasetSummary) -> Table:
    table = _table("images", "least", "median", "most")
    sizes = summary.column("size")
    unit, scale = byte_unit(sizes)
    for name, column in (
        ("height, px", summary.column("height")),
        ("width, px", summary.column("width")),
        (f"size, {unit}", sizes / scale),
    ):
        table.add_row(name, *(f"{value:,.4g}" for value in spread_of(column)))
    return table


def _class_table(summary: DatasetSummary, *, all_classes: bool) -> Table:
    table = _table("class", *summary.splits, "share")
    counts = summary.class_counts
    totals = counts.sum(axis=0)
    for number in _listed_classes(totals, all_classes=all_classes):
        if number is None:
            left = f"... {len(totals) - SHOWN_CLASSES:,} more: --all-classes"
            table.add_row(left, *[""] * (len(summary.splits) + 1))
            continue
        own = (f"{count:,}" for count in counts[:, number].tolist())
        share = f"{totals[number] / summary.samples:.2%}"
        table.add_row(summary.manifest.classes[number], *own, share)
    return table


def _listed_classes(totals: NDArray[np.int64], *, all_classes: bool) -> list[int | None]:
    """The classes to list; None stands for those that are left out."""
    if all_classes or len(totals) <= SHOWN_CLASSES:
        return list(range(len(totals)))
    order = np.argsort(-totals, kind="stable").tolist()
    return [*order[: SHOWN_CLASSES - _RAREST], None, *order[-_RAREST:]]


def _target_table(summary: DatasetSummary) -> Table:
    table = _table("target", "least", "median", "most")
    for number, name in enumerate(summary.manifest.targets):
        table.add_row(name, *(f"{v:,.4g}" for v in spread_of(summary.targets[:, number])))
    return table


def _rejections(summary: DatasetSummary) -> list[str | Table]:
    rejected = summary.manifest.rejected
    if not rejected:
        return ["No source was rejected."]
    groups = reasons(summary.dataset.directory)
    if not groups:
        return [f"Rejected: {plural(rejected, 'source')}, but {REJECTED_NAME} can't be read."]
    table = _table("rejected", "why", "the first of them", right=(0,))
    for group in groups[:_SHOWN_REASONS]:
        more = ", ..." if group.count > len(group.examples) else ""
        table.add_row(f"{group.count:,}", group.text, ", ".join(group.examples) + more)
    left = len(groups) - _SHOWN_REASONS
    return [table, f"{plural(left, 'reason')} more: see {REJECTED_NAME}."] if left > 0 else [table]


def _table(*columns: str, right: Sequence[int] | None = None) -> Table:
    """Numbers to the right: of all columns but the first, unless `right` says which."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        is_number = number > 0 if right is None else number in right
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    return table


def _write(
    summary: DatasetSummary, layout: Layout, tiles: Sequence[Pixels | None], out: Path
) -> None:
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        draw(summary, layout, tiles, temporary)
        temporary.replace(out)
    except OSError as error:
        raise DataError(f"--out {out} can't be written: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _split_to_draw(summary: DatasetSummary, split: str | None) -> str:
    if split is None:
        return next(iter(summary.splits))
    if split not in summary.splits:
        raise MisuseError(f"--split {split}: there is only {', '.join(summary.splits)}.")
    return split


def _require_place(out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise MisuseError(f"--out {out} must end in .png.")
    if out.is_dir():
        raise MisuseError(f"--out {out} is a folder: give the name of a file in it.")
    if not out.parent.is_dir():
        raise MisuseError(f"--out {out}: there is no folder {out.parent}.")


def _channels(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
