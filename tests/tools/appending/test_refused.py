"""Appends that are refused, and those that were given up: nothing that stood is lost."""

import json
import shutil
from pathlib import Path

import pytest

from tests.helpers.checking import flip
from tests.helpers.cli import invoke
from tests.helpers.growing import append, assert_prefix, grow, intact, refused
from tests.helpers.shard_runs import made, shard
from tests.helpers.small_downloads import lines, picture
from tools import sharding
from tools.checking.cli import main as check
from tools.writing import shard_run
from tools.writing.output_folder import Store

pytestmark = pytest.mark.usefixtures("inline_workers")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--encode", "jpeg"], 2, "has only png images, but some of"),
        (["--like", "shards"], 2, "--append and --like exclude each other"),
    ],
)
def test_what_does_not_fit_is_refused(words: list[str], code: int, text: str, grown: Path) -> None:
    grow(grown / "src", [24, 25])
    assert text in refused(grown, *words, code=code)
    append(grown)


def test_other_shards_are_refused(tmp_path: Path, grown: Path) -> None:
    """Damaged ones, those of an earlier version, of --like, with other targets, or none."""
    grow(grown / "src", [24])
    result = shard(grown / "src", tmp_path / "none", "--append")
    assert result.exit_code == 1 and "holds no complete shards" in result.output
    result = shard(grown / "src", tmp_path / "none", "--changed", "skip")
    assert result.exit_code == 2 and "add --append" in result.output
    like = shard(grown / "src", tmp_path / "like", "--like", str(grown / "out"))
    assert like.exit_code == 0
    result = shard(grown / "src", tmp_path / "like", "--append")
    assert result.exit_code == 1 and "no split train, because --like made it" in result.output
    (tmp_path / "ages").mkdir()
    for number in range(5):
        (tmp_path / "ages" / f"{number}.png").write_bytes(picture("a.png", number))
    rows = [f"{number},{number / 4}" for number in range(5)]
    (tmp_path / "ages" / "train.csv").write_text(lines("id,years", *rows))
    made(tmp_path / "ages", tmp_path / "years", "--task", "regression")
    (tmp_path / "ages" / "train.csv").write_text(lines("id,age", *rows))
    result = shard(tmp_path / "ages", tmp_path / "years", "--append", "--task", "regression")
    assert result.exit_code == 2 and "has the targets 'age', but" in result.output
    result = shard(tmp_path / "ages", grown / "out", "--append", "--task", "regression")
    assert result.exit_code == 2 and "is stored for classification: pass --task" in result.output
    flip(grown / "out" / "train-000000.tar", 700)
    output = refused(grown, code=1)
    assert "train-000000.tar" in output and "Copy those files again" in output


def test_an_earlier_format_is_refused(grown: Path) -> None:
    path = grown / "out" / "dataset.json"
    fields = json.loads(path.read_text())
    fields |= {"version": 2}
    del fields["labels"], fields["sha256"]
    for split in fields["splits"].values():
        del split["labeled"]
    path.write_text(json.dumps(fields))
    assert "format version 2, and only version 3" in refused(grown, code=1)


def test_two_appends_at_once(grown: Path) -> None:
    grow(grown / "src", [24])
    with Store(str(grown / "out")).lock(appends=True):
        result = shard(grown / "src", grown / "out", "--append")
        assert result.exit_code == 1 and "Another tools/shard is writing to --out" in result.output
    append(grown)


def test_shards_that_change_while_an_append_begins(
    grown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another append may finish after this one has read the manifest and before it has the lock."""
    grow(grown / "src", [24])
    path = grown / "out" / "dataset.json"
    indexed = sharding.index_files

    def slowly(*arguments: object, **named: object) -> object:
        fields = json.loads(path.read_text())
        del fields["sha256"]
        path.write_text(json.dumps(fields))
        return indexed(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(sharding, "index_files", slowly)
    result = shard(grown / "src", grown / "out", "--append")
    assert result.exit_code == 1 and "run the same command again" in result.output


def test_an_append_that_is_given_up(
    first: Path, grown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder .unfinished is deleted; what it had written goes with the next append."""

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    grow(grown / "src", range(24, 34))
    with monkeypatch.context() as patch:
        patch.setattr(shard_run, "publish", interrupt)
        result = shard(grown / "src", grown / "out", "--append", "--workers", "1")
    assert result.exit_code == 130 and "is as it was" in result.output
    assert intact(grown / "out")
    for words in (("--append", "--val", "0.5"), ()):
        result = shard(grown / "src", grown / "out", *words)
        assert result.exit_code == 2 and "unfinished run with other arguments" in result.output
        assert f"delete {grown / 'out'}/.unfinished" in result.output
    shutil.rmtree(grown / "out" / ".unfinished")
    assert invoke(check, grown / "out").exit_code == 1
    shutil.rmtree(grown / "src")
    grow(grown / "src", [24, 25])
    output = append(grown, "--val", "0")
    assert "Removed 4 files of an append that was given up" in output
    assert_prefix(first / "out", grown / "out")
    assert intact(grown / "out")
