"""tools/check --duplicates, and groups from names."""

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner

from pipeline.errors import MisuseError
from pipeline.storage.dataset import Dataset
from tests.helpers.checking import check
from tests.helpers.duplicates import encoded, smooth, two_classes, with_note, write_files
from tests.helpers.shard_runs import made, shard
from tools.checking.cli import main
from tools.config import ShardConfig
from tools.download.name_index import Names
from tools.download.sources import Sources
from tools.readings.name_groups import frames_note, group_by_name


def test_equal_images_are_found_across_folders_of_shards(tmp_path: Path) -> None:
    files = two_classes(12)
    more = two_classes(12, start=50)
    more["dog/again.jpg"] = with_note(files["cat/3.jpg"])
    more["cat/same.jpg"] = files["cat/5.jpg"]
    for name, contents in (("one", files), ("two", more)):
        write_files(tmp_path / name, contents)
        made(tmp_path / name, tmp_path / f"{name}-shards")
    one, two = tmp_path / "one-shards", tmp_path / "two-shards"
    alone = check(one, "--duplicates")
    assert alone.exit_code == 0 and alone.output == "No duplicates in 12 samples.\n"
    both = check(one, str(two), "--duplicates")
    assert both.exit_code == 0, both.output
    lines = both.output.splitlines()
    groups = {line.partition(":")[0]: line for line in lines[:2]}
    assert set(groups) == {"file", "pixels"}
    assert "cat/5.jpg" in groups["file"] and "cat/same.jpg" in groups["file"]
    assert "cat/3.jpg" in groups["pixels"] and "dog/again.jpg" in groups["pixels"]
    text = " ".join(both.output.split())
    assert "4 images in 2 groups are duplicates, 2 of them with equal files: listed above." in text
    assert f"in {one}/" in text and f"in {two}/" in text and "Leakage" in text
    assert "Conflict: images with the same pixels have different labels in 1 group" in text
    short = check(one, str(two), "--duplicates", "--findings", "1")
    assert "1 further line: --findings shows more." in short.output


def test_similar_and_damaged_images(tmp_path: Path) -> None:
    files = two_classes(10, ".png")
    files["dog/close.png"] = encoded(np.maximum(smooth(4), 6), ".png")
    source = write_files(tmp_path / "src", files)
    dataset = made(source, tmp_path / "out", "--encode", "keep", "--val", "0")
    assert check(tmp_path / "out", "--duplicates").output == "No duplicates in 11 samples.\n"
    near = check(tmp_path / "out", "--near-duplicates")
    assert "near " in near.output and "1 pair of images is nearly the same" in near.output
    row = dataset.split("train").samples[2]
    path = tmp_path / "out" / "train-000000.tar"
    data = bytearray(path.read_bytes())
    data[int(row["offset"]) + int(row["size"]) // 2] ^= 1
    path.write_bytes(data)
    damaged = check(tmp_path / "out", "--duplicates")
    assert "1 damaged image compared with none: run tools/check." in damaged.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a", "b"], "2 directories: check one after the other, or pass --duplicates"),
        (["a", "a/", "--duplicates"], "A directory is given twice (a, a)"),
        (["a", "--duplicates", "--decode"], "--decode and --duplicates exclude each other"),
    ],
)
def test_misuse_is_a_sentence(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and words in " ".join(result.output.split())


def tracks(suffix: str = ".png") -> dict[str, bytes]:
    """Two classes of signs, each with five tracks of eight frames."""
    return {
        f"{sign:05d}/{sign:05d}_{track:05d}_{frame:05d}{suffix}": encoded(
            smooth(1000 * sign + 10 * track + frame, 20), suffix
        )
        for sign in range(2)
        for track in range(5)
        for frame in range(8)
    }


def test_frames_are_noticed_and_kept_together(tmp_path: Path) -> None:
    source = write_files(tmp_path / "src", tracks())
    result = shard(source, tmp_path / "out")
    text = " ".join(result.output.split())
    assert "Names look like frames: 80 images have 10 stems with consecutive numbers" in text
    option = text.partition("--group-pattern '")[2].partition("'")[0]
    grouped = shard(source, tmp_path / "grouped", "--val", "0.2", "--group-pattern", option)
    assert grouped.exit_code == 0, grouped.output
    text = " ".join(grouped.output.split())
    assert "Names look like frames" not in text and "groups not divided" in text
    assert "10 groups by --group-pattern, the largest of 8 images." in text
    groups = dict[str, set[str]]()
    dataset = Dataset(tmp_path / "grouped")
    for split in dataset.manifest.splits:
        table = parquet.read_table(tmp_path / "grouped" / f"{split}.sources.parquet")
        columns = (table[name].to_pylist() for name in ("source", "group"))
        for source_name, group in zip(*columns, strict=True):
            assert source_name.rpartition("/")[2].startswith(f"{group}_")
            groups.setdefault(group, set()).add(split)
    assert len(groups) == 10 and all(len(splits) == 1 for splits in groups.values())
    assert {split for splits in groups.values() for split in splits} == {"train", "val"}


def named(paths: list[str], labels: list[int]) -> Sources:
    """Sources of files with these names."""
    return Sources(
        images=[None] * len(paths),  # type: ignore[arg-type]
        names=Names(paths, np.arange(len(paths))),
        labels=np.array(labels, np.int32),
        classes=("cat", "dog"),
        splits=None,
        rejected=(),
    )


@pytest.mark.parametrize(
    ("template", "frames"),
    [
        ("{label}/{n}.png", False),
        ("{label}/{label}.{n}.png", False),
        ("{label}/a{n:03d}.png", False),
        ("train/{n}_{random}.png", False),
        ("{label}/walk_{track}_{n}.png", True),
        ("all/{label}{track}-{n:04d}.jpg", True),
        ("all/{label}{track}-{random}.jpg", False),
    ],
)
def test_frames_are_told_from_numbered_images(template: str, frames: bool) -> None:
    draw = np.random.default_rng(0)
    paths = [
        template.format(label="cat" if n % 2 else "dog", n=n, track=n // 20, random=some)
        for n, some in enumerate(draw.integers(0, 10**6, 100).tolist())
    ]
    sources = named(paths, [n % 2 for n in range(100)])
    assert ("look like frames" in frames_note(sources)) is frames


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "--group-pattern (: missing ), unterminated subpattern"),
        (r"\d+", "has 0 groups. Put the part of the name"),
        (r"(\d)(\d)", "has 2 groups. Put the part of the name"),
        ("(frog)_", "matches no image's path, such as"),
    ],
)
def test_a_wrong_pattern_is_named(pattern: str, words: str) -> None:
    config = ShardConfig(src="src", out="out", group_pattern=pattern)
    with pytest.raises(MisuseError, match=re.escape(words)):
        group_by_name(named(["cat/1.png", "dog/2.png"], [0, 1]), config)


def test_images_that_a_pattern_does_not_match_are_alone() -> None:
    config = ShardConfig(src="src", out="out", group_pattern=r"([a-z]+)_\d")
    paths = ["x/a_1.png", "x/b_1.png", "x/a_2.png", "x/3.png", "x/4.png"]
    sources = group_by_name(named(paths, [0, 1, 0, 1, 0]), config)
    assert sources.groups is not None and sources.groups.tolist() == [0, 1, 0, 2, 3]
    assert [sources.group_name(n) for n in range(5)] == ["a", "b", "a", None, None]
    assert sources.notes[-1] == (
        "2 groups by --group-pattern, the largest of 2 images. It does not match 2 images (first: "
        "x/3.png)."
    )
    both = ShardConfig(src="src", out="out", group_pattern="(a)", group_column="patient")
    with pytest.raises(MisuseError, match="--group-column and --group-pattern exclude each other"):
        group_by_name(sources, both)
