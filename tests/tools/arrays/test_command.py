"""tools/shard on downloads of arrays: the whole command."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import DataError, MisuseError
from tests.helpers.array_downloads import (
    classes_of,
    collect,
    labels_of,
    pictures,
    splits_of,
    write_arrays,
    zipped,
)
from tests.helpers.shard_runs import contents, made, shard
from tools.arrays.collect import arrays_identity, arrays_versions
from tools.arrays.detect import find_array_parts
from tools.config import ShardConfig
from tools.download.file_index import index_files

GRAY, LABELS = pictures(40, 9, 12), classes_of(40)


def kuzushiji(folder: Path) -> Path:
    for split, seed in (("train", 0), ("test", 1)):
        write_arrays(folder / f"k-{split}-imgs.npz", pictures(40, 9, 12, seed=seed))
        write_arrays(folder / f"k-{split}-labels.npz", LABELS)
    return folder


def test_workers_and_zips_do_not_change_the_shards(tmp_path: Path) -> None:
    source = kuzushiji(tmp_path / "kaggle")
    dataset = made(source, tmp_path / "one", "--workers", "1")
    assert dataset.manifest.classes == ["0", "1", "2"] or len(dataset.manifest.classes) == 3
    made(source, tmp_path / "two", "--workers", "2")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    made(zipped(source), tmp_path / "zip", "--workers", "1")
    tars = [name for name in contents(tmp_path / "one") if name.endswith(".tar")]
    assert tars and all(
        contents(tmp_path / "one")[name] == contents(tmp_path / "zip")[name] for name in tars
    )


def test_what_is_printed(tmp_path: Path) -> None:
    images = {"x_train": GRAY / 255, "y_train": LABELS, "x_test": GRAY[:10] / 255}
    write_arrays(tmp_path / "kaggle/a.npz", **images)
    result = shard(tmp_path / "kaggle", tmp_path / "shards", "--workers", "1", "--dry-run")
    assert result.exit_code == 0, result.output
    assert (
        "a.npz x_train: 40 images of 12 x 9 pixels (gray), float64 of shape 40 x 9 x 12, labels in "
        "y_train (3 classes)" in result.output
    )
    assert "The pixels are float64 from 0 to 1: they are multiplied by 255." in result.output
    assert "10 test images without labels are stored without a target." in result.output
    assert "train: a.npz x_train row 1: 0" in result.output


def test_a_label_in_the_middle_of_the_options(tmp_path: Path) -> None:
    write_arrays(tmp_path / "kaggle/a.npz", images=GRAY, color=LABELS, kind=classes_of(40, 5))
    result = shard(tmp_path / "kaggle", tmp_path / "shards", "--workers", "1")
    assert result.exit_code == 2
    assert "\n  --label-column kind  (40 images, 5 classes)\n" in result.output
    dataset = made(
        tmp_path / "kaggle", tmp_path / "shards", "--workers", "1", "--label-column", "kind"
    )
    assert len(dataset.manifest.classes) == 5


def test_images_and_tables_come_before_arrays(tmp_path: Path) -> None:
    source = kuzushiji(tmp_path / "kaggle")
    rows = "".join(f"{n % 2},{','.join(['7'] * 16)}\n" for n in range(20))
    header = ",".join(["label", *(f"pixel{n}" for n in range(16))])
    (source / "train.csv").write_text(f"{header}\n{rows}")
    result = shard(source, tmp_path / "shards", "--workers", "1", "--dry-run")
    assert result.exit_code == 0 and "Found train.csv: an image of 4 x 4" in result.output
    (source / "train.csv").unlink()
    for n in range(8):
        path = source / f"photos/{'cat' if n % 2 else 'dog'}/{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), GRAY[n])
    result = shard(source, tmp_path / "shards", "--workers", "1", "--dry-run")
    assert result.exit_code == 0 and "class folders in photos/" in result.output


def test_a_resumed_run_knows_its_arrays(tmp_path: Path) -> None:
    def hashes(**arguments: object) -> tuple[str, str]:
        config = ShardConfig(src=str(tmp_path), out="out", **arguments)  # type: ignore[arg-type]
        index = index_files(str(tmp_path))
        parts = find_array_parts(index, config)
        return arrays_identity(index, parts, config), arrays_versions(index, parts)

    path = write_arrays(tmp_path / "a.npz", images=GRAY, labels=LABELS)
    identity, versions = hashes()
    assert hashes() == (identity, versions)
    assert hashes(pixel_range=(0.0, 200.0))[0] != identity
    os.utime(path, (1, 1))
    assert hashes()[0] == identity and hashes()[1] != versions
    write_arrays(path, images=GRAY[1:], labels=LABELS[1:])
    assert hashes()[0] != identity


def test_masks_in_arrays_are_refused_by_name(tmp_path: Path) -> None:
    write_arrays(tmp_path / "X_train.npy", GRAY)
    write_arrays(tmp_path / "masks_train.npy", GRAY > 127)
    with pytest.raises(DataError, match=r"masks_train\.npy seems to have masks .* PNG"):
        collect(tmp_path)


def test_a_cube_is_said(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", images=pictures(12, 12, 12), labels=classes_of(12))
    assert "last axis has the same length" in " ".join(collect(tmp_path)[0].notes)


def test_an_unlabeled_validation_is_a_test_set(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", x_train=GRAY, y_train=LABELS, x_val=GRAY[:5])
    sources, labeled = collect(tmp_path)
    assert splits_of(sources)[40:] == ["test"] * 5 and not labeled[40:].any()
    assert labels_of(sources)[40:] == ["-"] * 5


@pytest.mark.parametrize(("task", "words"), [("segmentation", "Masks"), ("multi-label", "one")])
def test_another_task(tmp_path: Path, task: str, words: str) -> None:
    write_arrays(tmp_path / "a.npz", images=GRAY, labels=LABELS)
    with pytest.raises(MisuseError, match=f"--task {task}: .*{words}"):
        collect(tmp_path, task=task)


def test_classes_as_numbers(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", images=GRAY, labels=LABELS)
    sources, _ = collect(tmp_path, task="regression")
    assert sources.task == "regression" and sources.targets is not None
    np.testing.assert_array_equal(sources.targets[:, 0], LABELS)


def test_labels_that_are_no_numbers(tmp_path: Path) -> None:
    labels = LABELS.astype(np.float32)
    labels[7] = np.nan
    write_arrays(tmp_path / "a.npz", images=GRAY, labels=labels)
    with pytest.raises(DataError, match=r"a\.npz labels row 8 has the label nan"):
        collect(tmp_path)
