"""tools/check finds a damaged table of the sample submission's rows; tools/show counts its rows."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner

from tests.helpers.checking import check, findings, flip
from tests.helpers.downloads import download
from tests.helpers.handmade import restated
from tests.helpers.shard_runs import made
from tests.helpers.small_downloads import lines, pictures
from tools.showing.cli import main as show

NAME = "test.submission.parquet"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submission")
    files = pictures(*(f"train/{c}/{n}.png" for c in "ab" for n in range(4)))
    files |= pictures(*(f"test/{n}.png" for n in range(5)))
    files["sample_submission.csv"] = lines("id,label", *((n, 0) for n in (3, 1, 9, 0, 2, 4)))
    return made(download(folder / "src", files), folder / "out", "--workers", "1").directory


def changed(shards: Path, folder: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """A copy whose table is another one, with its sum in the manifest."""
    out = Path(shutil.copytree(shards, folder / "shards"))
    parquet.write_table(change(parquet.read_table(out / NAME)), out / NAME)
    return restated(out)


def with_key(table: pa.Table, row: int, key: str | None) -> pa.Table:
    keys = table["key"].to_pylist()
    keys[row] = key
    return table.set_column(0, "key", pa.array(keys, pa.string()))


CHANGES = {
    "row 2 has the key 000000777, which the index": lambda t: with_key(t, 1, "000000777"),
    "row 4 has the key 1, which the index": lambda t: with_key(t, 3, "1"),
    "none of its 0 rows has a key": lambda t: t.slice(0, 0),
    "first column is not key": lambda t: t.select(["id", "label", "key"]),
    "or there is no other": lambda t: t.select(["key"]),
    "metadata doesn't name the table": lambda t: t.replace_schema_metadata({"table": "a.csv"}),
    "number of its column of ids": lambda t: t.replace_schema_metadata(
        {"table": "a.csv", "id_column": "2"}
    ),
    "some of its columns are no strings": lambda t: t.set_column(2, "label", pa.array([0] * 6)),
    "its column label has rows without": lambda t: t.set_column(
        2, "label", pa.array([None] * 6, pa.string())
    ),
}


def test_an_intact_table_passes_and_is_shown(shards: Path, tmp_path: Path) -> None:
    assert check(shards).exit_code == 0
    result = CliRunner().invoke(show, [str(shards), "--out", str(tmp_path / "a.png")])
    assert "Submission: 6 rows of sample_submission.csv, 1 of them without a sample." in (
        result.output
    )


@pytest.mark.parametrize("text", CHANGES)
def test_a_wrong_table_is_found(text: str, shards: Path, tmp_path: Path) -> None:
    (line,) = findings(changed(shards, tmp_path, CHANGES[text]))
    assert line.startswith(f"{NAME}: ") and text in line


def test_a_damaged_missing_or_foreign_table_is_found(shards: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(shards, tmp_path / "shards"))
    whole = (out / NAME).read_bytes()
    for at in (3, len(whole) // 2, len(whole) - 9):
        flip(out / NAME, at)
        assert findings(out) == [f"{NAME}: its sha256 differs from that in dataset.json"]
        (out / NAME).write_bytes(whole)
    (out / NAME).rename(out / "train.submission.parquet")
    assert sorted(line.partition(":")[0] for line in findings(out)) == [
        NAME,
        "train.submission.parquet",
    ]
    (out / "train.submission.parquet").rename(out / NAME)
    (out / NAME).write_bytes(b"PAR1 and no more")
    (line,) = findings(restated(out))
    assert line.startswith(f"{NAME}: it can't be read")
