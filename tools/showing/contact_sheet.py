"""The picture of a dataset: a contact sheet, and below it charts of sizes, bytes and classes."""

from functools import partial
from pathlib import Path

import numpy as np

from pipeline.chart_fonts import class_labels
from pipeline.contact_sheet import ContactSheet, Tile, write_contact_sheet
from pipeline.mask_colors import mask_legend
from tools.showing.charts import classes_width, draw_bytes, draw_classes, draw_sizes, draw_targets
from tools.showing.dataset_summary import DatasetSummary
from tools.showing.sample_choice import Sheet
from tools.showing.thumbnails import Tiles


def draw(summary: DatasetSummary, sheet: Sheet, tiles: Tiles, path: Path) -> None:
    """Write the picture as PNG; the same dataset and tiles give the same bytes on a machine."""
    manifest = summary.manifest
    rows, captions = sheet.rows.tolist(), sheet.captions or [""] * len(sheet.rows)
    pictures = [
        Tile(image=tiles[row], caption=(caption,) if caption else ()) if row >= 0 else None
        for row, caption in zip(rows, captions, strict=True)
    ]
    last = draw_targets if manifest.task == "regression" else draw_classes
    width = 1.0 if manifest.task == "regression" else classes_width(summary)
    charts = ((1.0, draw_sizes), (1.0, draw_bytes), (width, last))
    write_contact_sheet(
        ContactSheet(
            title=f"{summary.dataset.directory.resolve().name or 'Shards'}: {summary.contents}",
            subtitle=_subtitle(summary, sheet),
            tiles=pictures,
            columns=sheet.columns,
            names=_class_names(summary, sheet),
            legend=mask_legend(manifest.classes) if manifest.task == "segmentation" else (),
        ),
        path,
        charts=[(width, partial(chart, summary=summary)) for width, chart in charts],
    )


def _subtitle(summary: DatasetSummary, sheet: Sheet) -> str:
    splits = ", ".join(f"{len(tables):,} {split}" for split, tables in summary.splits.items())
    mebibytes = int(summary.column("size").sum()) / 2**20
    shown = f"{np.sum(sheet.rows >= 0):,} of {len(summary.splits[sheet.split]):,} {sheet.split}"
    return f"{summary.manifest.task}; {splits}; {mebibytes:,.1f} MiB of images. Shown: {shown}."


def _class_names(summary: DatasetSummary, sheet: Sheet) -> dict[int, tuple[str, str]]:
    """For the first line of each class: its name, and its samples in each split."""
    labels, names = class_labels(summary.manifest.classes), {}
    for label in dict.fromkeys(sheet.line_classes):
        counts = zip(summary.class_counts[:, label].tolist(), summary.splits, strict=True)
        text = ", ".join(f"{count:,} {split}" for count, split in counts)
        names[sheet.line_classes.index(label)] = (labels[label], text)
    return names
