"""The samples of a contact sheet as thumbnails, made in processes that may die."""

from functools import partial

from pipeline.chart_style import CYCLE
from tools.images.codec import Pixels
from tools.showing.dataset_summary import DatasetSummary
from tools.showing.sheet_layout import Layout
from tools.showing.thumbnails import ThumbnailTask, rescue, thumbnail
from tools.workers import Workers
from tools.writing.block_encoding import prepare_worker


def draw_tiles(summary: DatasetSummary, layout: Layout, workers: int) -> list[Pixels | None]:
    """For each place of the sheet RGB uint8 (side, side, 3); None where it is empty or the sample
    is damaged."""
    rows = layout.sheet.rows.tolist()
    tasks = [_task(summary, layout, row) for row in rows if row >= 0]
    with Workers(min(workers, len(tasks)), prepare=prepare_worker) as crew:
        made = crew.ordered(thumbnail, tasks, rescue=partial(rescue, workers=crew))
        return [next(made) if row >= 0 else None for row in rows]


def _task(summary: DatasetSummary, layout: Layout, row: int) -> ThumbnailTask:
    split = layout.sheet.split
    tables, shards = summary.splits[split], summary.manifest.splits[split].shards
    masked = tables.masks is not None
    return ThumbnailTask(
        tar=summary.dataset.directory / shards[int(tables.samples["shard"][row])].name,
        row=tables.samples[row],
        mask=None if tables.masks is None else tables.masks[row],
        side_px=layout.side_px,
        colors=mask_colors(len(summary.manifest.classes)) if masked else (),
    )


def mask_colors(classes: int) -> list[tuple[int, int, int] | None]:
    """RGB of the classes of a mask; the first is mostly the background, and left as it is."""
    shades = [_rgb(CYCLE[n % len(CYCLE)]) for n in range(classes - 1)]
    return [None, *shades]


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = (int(color[n : n + 2], 16) for n in (1, 3, 5))
    return red, green, blue
