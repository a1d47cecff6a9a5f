"""Collect the sources of a download, whatever holds its images."""

from pathlib import Path

from tools.arrays.collect import arrays_identity, arrays_versions, collect_arrays
from tools.arrays.parts import ArrayPart
from tools.config import ShardConfig
from tools.console import Output
from tools.download.file_index import FileIndex
from tools.download.sources import Sources
from tools.pixel_tables.collect import collect_pixels
from tools.pixel_tables.pixel_table import PixelTable
from tools.readings.array_rows import with_images
from tools.readings.class_tables import name_sources
from tools.readings.detect import Detection, collect
from tools.readings.name_groups import group_by_name
from tools.workers import Workers


def collect_sources(
    detection: Detection,
    index: FileIndex,
    config: ShardConfig,
    workers: Workers,
    folder: Path,
    output: Output,
) -> Sources:
    """The sources of what was detected. Arrays and tables of pixels are read into `folder`."""
    parts = detection.parts
    arrays = [part for part in parts if isinstance(part, ArrayPart)]
    if rows := detection.rows:
        images = sum(part.images for part in rows.parts)
        with output.progress("reading", images, unit="images") as advance:
            pixels = collect_arrays(rows.parts, index, folder, advance)
        sources = with_images(collect(rows.index, detection), rows, pixels)
    elif arrays:
        images = sum(part.images for part in arrays)
        with output.progress("reading", images, unit="images") as advance:
            sources = collect_arrays(arrays, index, folder, advance)
    elif tables := [part for part in parts if isinstance(part, PixelTable)]:
        size_bytes = sum(index.size_bytes(part.table.name) for part in tables)
        with output.progress("reading", size_bytes, unit="MB", scale=10**6) as advance:
            sources = collect_pixels(tables, workers, folder / "pixels.spool", advance)
    else:
        sources = collect(index, detection)
    return group_by_name(name_sources(sources, index, detection.tables, config), config)


def file_hashes(index: FileIndex, detection: Detection, config: ShardConfig) -> tuple[str, str]:
    """The `identity` and `versions` of ``ShardPlan``."""
    arrays = [part for part in detection.parts if isinstance(part, ArrayPart)]
    arrays += detection.rows.parts if detection.rows else ()
    if not arrays:
        return index.identity, index.versions
    return arrays_identity(index, arrays, config), arrays_versions(index, arrays)
