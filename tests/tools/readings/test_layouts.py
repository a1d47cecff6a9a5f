"""Small downloads of each Kaggle layout, through a dry run and a full run."""

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
from tests.helpers.downloads import download
from tests.helpers.layout_parts import Layout
from tools.cli import main
from tools.config import ShardConfig
from tools.download.file_index import index_files
from tools.download.label_sets import as_table
from tools.download.sources import Sources
from tools.pixel_tables.pixel_table import PixelTable
from tools.readings.class_tables import name_sources
from tools.readings.detect import collect, detect

LAYOUTS = TABLES | FOLDERS | TASKS


def run(src: Path, out: Path, *options: str) -> Result:
    arguments = ["--src", str(src), "--out", str(out), "--workers", "1", *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def config_of(src: Path, options: tuple[str, ...]) -> ShardConfig:
    """The config that the command makes of the options."""
    context = main.make_context("shard", ["--src", str(src), "--out", "out", *options])
    return ShardConfig(**context.params)


def collected(src: Path, options: tuple[str, ...]) -> Sources | None:
    """The sources of image files; None for a pixel table."""
    config = config_of(src, options)
    index = index_files(str(src), images=config.images)
    detection = detect(index, config)
    if isinstance(detection.parts[0], PixelTable):
        return None
    return name_sources(collect(index, detection), index, detection.tables, config)


def target(sources: Sources, number: int) -> Any:
    if sources.masks is not None:
        return sources.masks.paths[number]  # type: ignore[attr-defined]
    if sources.targets is None:
        return sources.classes[sources.labels[number]]
    row = as_table(sources.targets)[number].tolist()
    if sources.task == "regression":
        return tuple(row)
    return tuple(name for name, value in zip(sources.classes, row, strict=True) if value)


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    src, out = download(tmp_path / "src", layout.files), tmp_path / "out"
    sources = collected(src, layout.options)
    if sources is not None:
        check_sources(sources, layout)
    dry = run(src, out, "--dry-run", *layout.options)
    assert dry.exit_code == 0 and not out.exists(), dry.output
    assert all(sentence in dry.output for sentence in layout.output), dry.output
    first = next(iter(layout.targets))
    assert first in dry.output, dry.output
    made = run(src, out, *layout.options)
    assert made.exit_code == 0, made.output
    check_shards(out, layout)


def check_sources(sources: Sources, layout: Layout) -> None:
    assert sources.task == layout.task
    labeled = sources.has_label
    targets = {p: target(sources, n) for n, p in enumerate(sources.names) if labeled[n]}
    assert targets == layout.targets
    unlabeled = [path for n, path in enumerate(sources.names) if not labeled[n]]
    assert sorted(unlabeled) == sorted(layout.unlabeled)
    assert len(sources.rejected) == layout.rejected, sources.rejected
    if layout.classes is not None and sources.ordered:
        assert sources.classes == layout.classes
    assert (sources.splits is not None) == bool(layout.splits or layout.unlabeled)


def stored(index: SplitIndex, manifest: Manifest, number: int) -> Any:
    """The label or target of a sample; None for a mask, whose values are checked."""
    row = index.samples[number]
    if manifest.task == "classification":
        return manifest.classes[row["label"]]
    if manifest.task == "segmentation":
        span = index.masks[number]
        tar = (index.directory / index.split.shards[row["shard"]].name).read_bytes()
        data = tar[span["offset"] : span["offset"] + span["size"]]
        mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (row["height"], row["width"])
        assert mask.max() < len(manifest.classes)
        return None
    values = index.targets[number].tolist()
    if manifest.task == "regression":
        assert len(manifest.targets) == len(values)
        return tuple(values)
    return tuple(name for name, value in zip(manifest.classes, values, strict=True) if value)


def is_unlabeled(index: SplitIndex, manifest: Manifest, number: int) -> bool:
    if manifest.task == "classification":
        return bool(index.samples[number]["label"] == -1)
    if manifest.task == "segmentation":
        return bool(index.masks[number]["size"] == 0)
    return bool(np.isnan(index.targets[number]).all())


def check_shards(out: Path, layout: Layout) -> None:
    dataset = Dataset(out)
    manifest = dataset.manifest
    assert manifest.task == layout.task
    targets, splits = {}, {}
    for split in manifest.splits:
        index = dataset.split(split)
        names = parquet.read_table(out / sources_name(split)).column("source").to_pylist()
        for number, name in enumerate(names):
            if name in layout.unlabeled:
                assert split == "test" and is_unlabeled(index, manifest, number), name
            else:
                targets[name] = stored(index, manifest, number) or layout.targets[name]
            splits[name] = split
    assert targets == layout.targets and splits.keys() == {*targets, *layout.unlabeled}
    assert {name: splits[name] for name in layout.splits} == layout.splits
    assert dataset.manifest.rejected == layout.rejected
    if layout.classes is not None:
        assert dataset.manifest.classes == layout.classes
