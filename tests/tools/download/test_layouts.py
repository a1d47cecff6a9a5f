"""The layouts of Kaggle downloads, each made small by code, through a dry run and the real one."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner, Result

from pipeline.storage.dataset import Dataset, SplitIndex
from pipeline.storage.manifest import Manifest, sources_name
from tests.data.layouts_in_folders import FOLDERS
from tests.data.layouts_in_tables import TABLES
from tests.data.layouts_of_tasks import TASKS
from tests.helpers.layout_parts import Layout, write
from tools.cli import main
from tools.config import ShardConfig
from tools.download.collect import gather_files
from tools.download.detect import find_parts
from tools.download.file_index import index_files
from tools.download.pixel_table import PixelTable
from tools.download.sources import Sources

LAYOUTS = TABLES | FOLDERS | TASKS


def run(src: Path, out: Path, *options: str) -> Result:
    arguments = ["--src", str(src), "--out", str(out), "--workers", "1", *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def config_of(src: Path, options: tuple[str, ...]) -> ShardConfig:
    """As the command makes it."""
    context = main.make_context("shard", ["--src", str(src), "--out", "out", *options])
    return ShardConfig(**context.params)


def gathered(src: Path, options: tuple[str, ...]) -> Sources | None:
    """The sources of image files; None of a pixel table."""
    from tools.download.class_names import name_classes, read_class_names

    config = config_of(src, options)
    index = index_files(str(src), images=config.images)
    parts = find_parts(index, config)
    if isinstance(parts[0], PixelTable):
        return None
    sources = gather_files(parts, index)  # type: ignore[arg-type]
    if config.class_names is None:
        return sources
    return name_classes(sources, read_class_names(index, config.class_names))


def shown(sources: Sources, number: int) -> Any:
    if sources.masks is not None:
        return sources.masks.paths[number]  # type: ignore[attr-defined]
    if sources.targets is None:
        return sources.classes[sources.labels[number]]
    row = sources.targets[number].tolist()
    if sources.task == "regression":
        return tuple(row)
    return tuple(name for name, value in zip(sources.classes, row, strict=True) if value)


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    src, out = write(tmp_path / "src", layout.files), tmp_path / "out"
    sources = gathered(src, layout.options)
    if sources is not None:
        check_sources(sources, layout)
    dry = run(src, out, "--dry-run", *layout.options)
    assert dry.exit_code == 0 and not out.exists(), dry.output
    assert all(sentence in dry.output for sentence in layout.said), dry.output
    first = next(iter(layout.found))
    assert first in dry.output, dry.output
    made = run(src, out, *layout.options)
    assert made.exit_code == 0, made.output
    check_shards(out, layout)


def check_sources(sources: Sources, layout: Layout) -> None:
    assert sources.task == layout.task
    found = {path: shown(sources, number) for number, path in enumerate(sources.names)}
    assert found == layout.found
    assert len(sources.rejected) == layout.rejected, sources.rejected
    if layout.classes is not None and sources.ordered:
        assert sources.classes == layout.classes
    assert (sources.splits is not None) == bool(layout.splits)


def stored(index: SplitIndex, manifest: Manifest, number: int) -> Any:
    """The label or target of a sample; None for a mask, which is checked here."""
    row = index.samples[number]
    if manifest.task == "classification":
        return manifest.classes[row["label"]]
    if manifest.task == "segmentation":
        place = index.masks[number]
        tar = (index.directory / index.split.shards[row["shard"]].name).read_bytes()
        data = tar[place["offset"] : place["offset"] + place["size"]]
        mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (row["height"], row["width"])
        assert mask.max() < len(manifest.classes)
        return None
    target = index.targets[number].tolist()
    if manifest.task == "regression":
        assert len(manifest.targets) == len(target)
        return tuple(target)
    return tuple(name for name, value in zip(manifest.classes, target, strict=True) if value)


def check_shards(out: Path, layout: Layout) -> None:
    dataset = Dataset(out)
    manifest = dataset.manifest
    assert manifest.task == layout.task
    found, splits = {}, {}
    for split in manifest.splits:
        index = dataset.split(split)
        names = parquet.read_table(out / sources_name(split)).column("source").to_pylist()
        for number, name in enumerate(names):
            found[name] = stored(index, manifest, number) or layout.found[name]
            splits[name] = split
    assert found == layout.found
    assert {name: splits[name] for name in layout.splits} == layout.splits
    assert dataset.manifest.rejected == layout.rejected
    if layout.classes is not None:
        assert dataset.manifest.classes == layout.classes
