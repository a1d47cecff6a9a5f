"""dataset.json is parsed as typed, bounded values, or refused in a sentence with the field."""

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import MANIFEST_NAME
from tests.helpers.amounts import full_or_tenth
from tests.helpers.checking import flip
from tests.helpers.handmade import sealed, write_shards
from trainer.data import open_data


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("made") / "shards")


def refusal(shards: Path, folder: Path, place: str, value: Any) -> str:
    """What the manifest with `value` at `place`, "delete" for none, is refused with."""
    fields = json.loads((shards / MANIFEST_NAME).read_text())
    *above, last = [int(step) if step.isdecimal() else step for step in place.split(".")]
    inside = fields
    for step in above:
        inside = inside[step]
    if value == "delete":
        del inside[last]
    else:
        inside[last] = value
    (folder / MANIFEST_NAME).write_bytes(sealed(fields))
    with pytest.raises(DataError) as caught:
        Dataset(folder)
    return caught.value.message


SHARD = "splits.train.shards.0"


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("version", 3.0, "has format version 3.0"),
        ("version", True, "has format version True"),
        ("task", "sorting", "task is 'sorting', not classification or"),
        ("classes", "abc", "classes is 'abc', not a list of 1 to 1048576 values"),
        ("classes", [], "classes is [], not a list of 1 to"),
        ("classes.1", 5, "classes[1] is 5, not a text"),
        ("classes.1", "x" * 20_000, "not a text of at most 10,000 characters"),
        ("labels", ["a"], "labels is ['a'], not a list of 3 values"),
        ("targets", ["age"], "targets is ['age'], not a list of 0 values"),
        ("splits", {}, "splits is {}, not an object with a split"),
        ("splits", {"../x": {}}, "splits has a name that is '../x', not train or val or test"),
        ("splits.train.shards", [], "splits.train.shards is [], not a list of 1 to"),
        (f"{SHARD}.name", "../../../victim", "name is '../../../victim', not a plain file name"),
        (f"{SHARD}.name", "/etc/passwd", "name is '/etc/passwd', not a plain file name"),
        (f"{SHARD}.name", "other.tar", "is 'other.tar', not a name such as train-000000.tar"),
        ("splits.train.shards.1.name", "train-000000.tar", "', not after the shard before it"),
        (f"{SHARD}.samples", 0, "samples is 0, not a whole number from 1 to"),
        (f"{SHARD}.bytes", 10**15, "bytes is 1000000000000000, not a whole number from 1 to"),
        (f"{SHARD}.sha256", "ABC", "sha256 is 'ABC', not a SHA-256"),
        (f"{SHARD}.more", 1, "more is 1, not known: there is no such field"),
        ("splits.train.labeled", -1, "labeled is -1, not a whole number from 0 to 24"),
        ("splits.train.labeled", 23, "class_counts is 24, not in sum the 23 labeled samples"),
        ("splits.train.class_counts.0", True, "class_counts[0] is True, not a whole number"),
        ("files", {"../x": "0" * 64}, "files has a name that is '../x', not a plain file name"),
        ("image_components", ["gif"], "image_components is ['gif'], not"),
        ("mean.0", float("nan"), "is not a manifest that tools/shard wrote"),
        ("mean.0", "0.5", "mean[0] is '0.5', not a number from 0 to 1"),
        ("std.2", 10**400, "std[2] is 1000000"),
        ("heights", [1, 2, 2**40], "heights[2] is 1099511627776, not a whole number"),
        ("widths", [9, 5, 10], "widths is [9, 5, 10], not in ascending order"),
        ("rejected", "delete", "rejected is None, not there, but this field is required"),
        ("made_by", [], "made_by is [], not an object"),
        ("history", [], "history is [], not a list of 1 to 65536 values"),
        ("history", [{"after": "x"}], "history[0].after is 'x', not a SHA-256 in 64"),
        ("more", 1, "more is 1, not known: there is no such field"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(
    place: str, value: Any, sentence: str, shards: Path, tmp_path: Path
) -> None:
    said = refusal(shards, tmp_path, place, value)
    assert sentence in said and "\n" not in said


def test_every_flipped_bit_is_found(shards: Path, tmp_path: Path) -> None:
    path = tmp_path / MANIFEST_NAME
    whole = (shards / MANIFEST_NAME).read_bytes()
    draw = random.Random(5)
    for _ in range(full_or_tenth(2000)):
        path.write_bytes(whole)
        flip(path, draw.randrange(len(whole)), draw.randrange(8))
        with pytest.raises(DataError):
            Dataset(tmp_path)


def test_manifests_without_their_own_hash_are_read(shards: Path, tmp_path: Path) -> None:
    fields = json.loads((shards / MANIFEST_NAME).read_text())
    del fields["sha256"]
    (tmp_path / MANIFEST_NAME).write_bytes(sealed(fields))
    manifest = Dataset(tmp_path).manifest
    assert not manifest.has_own_sha256
    assert manifest.to_json() == (tmp_path / MANIFEST_NAME).read_text()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"version": 3, "task": NaN}', '{"version":3}'])
def test_texts_that_parsers_choke_on(text: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(DataError, match="not a manifest that tools/shard wrote"):
        Dataset(tmp_path)


def test_a_fifo_is_no_manifest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / MANIFEST_NAME)
    with pytest.raises(DataError, match=r"dataset\.json: it is not a file"):
        Dataset(tmp_path)


@pytest.mark.parametrize("fold", [None, "1/5"])
def test_a_dataset_with_only_a_test_split_is_not_trained_on(
    fold: str | None, tmp_path: Path
) -> None:
    write_shards(tmp_path / "shards", split="test")
    config = PipelineConfig(shards=str(tmp_path / "shards"), fold=fold)
    with pytest.raises(DataError, match=re.escape("has no split") + ".*train.*only"):
        open_data(config, synthetic=False)
