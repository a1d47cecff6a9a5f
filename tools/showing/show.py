"""A shard directory in tables and one picture."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from pipeline.errors import DataError, MisuseError
from pipeline.storage.manifest import REJECTED_NAME, sample_key
from tools.checking.opening import open_shards
from tools.console import Output
from tools.images.codec import Pixels
from tools.showing.contact_sheet import draw, layout_of
from tools.showing.dataset_summary import (
    DatasetSummary,
    byte_unit,
    command_line,
    group_reasons,
    min_median_max,
)
from tools.showing.sample_choice import Sheet, choose_samples
from tools.showing.thumbnails import draw_thumbnails
from tools.text import plural

# Of more classes than this, only the most frequent and the rarest are listed.
SHOWN_CLASSES = 20
_RAREST = 5
_SHOWN_REASONS = 12


def show_shards(
    directory: Path, *, out: Path, split: str | None, seed: int, all_classes: bool, workers: int
) -> None:
    """Print tables about the shards and draw them into the PNG `out`; raises ``DataError`` if the
    shards can't be read or `out` can't be written."""
    _require_writable(out)
    summary = DatasetSummary.from_dataset(open_shards(directory))
    split = next(iter(summary.splits)) if split is None else split
    if split not in summary.splits:
        raise MisuseError(f"--split {split}: there is only {', '.join(summary.splits)}.")
    output = Output()
    for part in describe(summary, all_classes=all_classes):
        if isinstance(part, str):
            output.print(part)
        else:
            output.table(part)
    sheet = choose_samples(summary, split, seed=seed)
    rows, side_px = sheet.rows.tolist(), layout_of(summary, sheet).side_px
    tiles = draw_thumbnails(summary, split, rows, side_px, workers)
    _write(summary, sheet, tiles, out)
    output.print(f"The picture: {out}")
    damaged = [row for row, tile in zip(rows, tiles, strict=True) if tile is None and row >= 0]
    if damaged:
        key = sample_key(int(summary.splits[split].samples["key"][damaged[0]]))
        output.print(
            f"{plural(len(damaged), 'sample')} can't be shown (the first is {key} of {split}). "
            f"Run tools/check {directory} for the full list of errors."
        )


def describe(summary: DatasetSummary, *, all_classes: bool) -> list[str | Table]:
    """Sentences and tables, in order."""
    manifest = summary.manifest
    parts: list[str | Table] = [
        f"{summary.dataset.directory}: {manifest.task}, {plural(summary.samples, 'sample')}"
        + (f" of {plural(len(manifest.classes), 'class')}" if manifest.classes else "")
        + f"; images are {' and '.join(manifest.image_components)}.",
        _split_table(summary),
        *_unlabeled(summary),
        _image_table(summary),
        f"Mean {_channels(manifest.mean)}, standard deviation {_channels(manifest.std)} (R, G, B; "
        f"white is 1).",
    ]
    if manifest.classes:
        parts.append(_class_table(summary, all_classes=all_classes))
    if manifest.targets:
        targets = zip(manifest.targets, summary.targets.T, strict=True)
        parts.append(_spread_table("target", dict(targets)))
    options = command_line(manifest.made_by.get("arguments", {}))
    how = f"with {options}; other options have their defaults" if options else "with its defaults"
    parts.append(f"Made by {manifest.made_by.get('tool', 'an unknown tool')} {how}.")
    return [*parts, *_rejections(summary)]


def _split_table(summary: DatasetSummary) -> Table:
    table = _table("split", "samples", "shards", "MiB")
    for name, split in summary.manifest.splits.items():
        mebibytes = sum(shard.bytes for shard in split.shards) / 2**20
        table.add_row(name, f"{split.samples:,}", f"{len(split.shards):,}", f"{mebibytes:,.1f}")
    return table


def _unlabeled(summary: DatasetSummary) -> Iterator[str]:
    for name, split in summary.manifest.splits.items():
        if split.unlabeled:
            have = "has" if split.unlabeled == 1 else "have"
            yield f"{split.unlabeled:,} of {split.samples:,} samples of {name} {have} no label."


def _image_table(summary: DatasetSummary) -> Table:
    unit, scale = byte_unit(summary.column("size"))
    columns = {f"{name}, px": summary.column(name) for name in ("height", "width")}
    return _spread_table("images", columns | {f"size, {unit}": summary.column("size") / scale})


def _spread_table(title: str, columns: dict[str, NDArray[Any]]) -> Table:
    """A row for each of `columns`."""
    table = _table(title, "min", "median", "max")
    for name, values in columns.items():
        table.add_row(name, *(f"{value:,.4g}" for value in min_median_max(values)))
    return table


def _class_table(summary: DatasetSummary, *, all_classes: bool) -> Table:
    table = _table("class", *summary.splits, "share")
    totals = summary.class_counts.sum(axis=0)
    for label in _listed_classes(totals, all_classes=all_classes):
        if label is None:
            table.add_row(f"... {len(totals) - SHOWN_CLASSES:,} more: --all-classes")
            continue
        cells = (f"{count:,}" for count in summary.class_counts[:, label].tolist())
        share = f"{totals[label] / max(1, summary.labeled):.2%}"
        table.add_row(summary.manifest.classes[label], *cells, share)
    return table


def _listed_classes(totals: NDArray[np.int64], *, all_classes: bool) -> list[int | None]:
    """The classes to list; None stands for the others."""
    if all_classes or len(totals) <= SHOWN_CLASSES:
        return list(range(len(totals)))
    order = np.argsort(-totals, kind="stable").tolist()
    return [*order[: SHOWN_CLASSES - _RAREST], None, *order[-_RAREST:]]


def _rejections(summary: DatasetSummary) -> list[str | Table]:
    rejected = summary.manifest.rejected
    if not rejected:
        return ["No source was rejected."]
    reasons = group_reasons(summary.dataset.directory)
    if not reasons:
        return [f"Rejected {plural(rejected, 'source')}, but {REJECTED_NAME} can't be read."]
    table = _table("rejected", "reason", "first sources", right=(0,))
    for reason in reasons[:_SHOWN_REASONS]:
        more = ", ..." if reason.count > len(reason.examples) else ""
        table.add_row(f"{reason.count:,}", reason.text, ", ".join(reason.examples) + more)
    hidden = len(reasons) - _SHOWN_REASONS
    return [table, *([f"See {REJECTED_NAME} for {hidden:,} more reasons."] if hidden > 0 else [])]


def _table(*columns: str, right: Sequence[int] | None = None) -> Table:
    """A table whose columns but the first, or those of `right`, are aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, name in enumerate(columns):
        is_number = index > 0 if right is None else index in right
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    return table


def _write(
    summary: DatasetSummary, sheet: Sheet, tiles: Sequence[Pixels | None], out: Path
) -> None:
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        draw(summary, sheet, tiles, temporary)
        temporary.replace(out)
    except OSError as error:
        raise DataError(f"--out {out} can't be written: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _require_writable(out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise MisuseError(f"--out {out} must end in .png.")
    if out.is_dir():
        raise MisuseError(f"--out {out} is a folder: name a file in it.")
    if not out.parent.is_dir():
        raise MisuseError(f"--out {out}: the folder {out.parent} doesn't exist.")


def _channels(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
