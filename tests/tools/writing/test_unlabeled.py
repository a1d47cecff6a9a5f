"""Test samples without a label are stored without a target, and other tools read the shards."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import TARGET_COMPONENTS
from tests.helpers.checking import check
from tests.helpers.partly_labeled import COUNT, TESTS, partly_labeled, write_partly_labeled
from tests.helpers.shard_runs import contents
from tools.download.submission_rows import SubmissionRows
from tools.images.encoding import Encoding
from tools.writing.blocks import BlockSettings
from tools.writing.plan import make_plan
from tools.writing.shard_plan import ShardPlan

UNLABELED = 9


@pytest.fixture(scope="module", params=TARGET_COMPONENTS)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def shards(task: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp(task) / "shards"
    write_partly_labeled(out, task, unlabeled=UNLABELED)
    return out


def numbers_of(shards: Path, split: str) -> list[int]:
    """The source of each sample."""
    ids = parquet.read_table(shards / f"{split}.sources.parquet").column("id").to_pylist()
    return [int(text) for text in ids]


def tars(shards: Path, split: str) -> list[Path]:
    dataset = Dataset(shards)
    return [shards / shard.name for shard in dataset.manifest.splits[split].shards]


def test_splits_and_counts(task: str, shards: Path) -> None:
    manifest = Dataset(shards).manifest
    assert manifest.version == 3
    splits = {name: (split.samples, split.labeled) for name, split in manifest.splits.items()}
    drawn = splits["val"][0]
    train = COUNT - TESTS
    assert splits == {
        "train": (train - drawn, train - drawn),
        "val": (drawn, drawn),
        "test": (TESTS, TESTS - UNLABELED),
    }
    assert 2 <= drawn <= 4
    labels = {"classification": ("n01", "n02", "n03"), "regression": ()}
    assert manifest.labels == labels.get(task, ("cat", "dog", "unicorn"))
    for split in manifest.splits:
        known = [n for n in numbers_of(shards, split) if n < COUNT - UNLABELED]
        expected = {
            "classification": [sum(n % 3 == c for n in known) for c in range(3)],
            "multi-label": [
                sum(n > 0 for n in known),
                sum(n % 2 for n in known),
                sum(n % 3 == 0 for n in known),
            ],
            "regression": [],
        }
        if task in expected:
            assert list(manifest.splits[split].class_counts) == expected[task]
        else:
            assert manifest.splits[split].class_counts[0] == len(known)


def test_members_and_tables(task: str, shards: Path) -> None:
    sources = partly_labeled(task, UNLABELED)
    for split in ("train", "val", "test"):
        numbers, index = numbers_of(shards, split), Dataset(shards).split(split)
        members = {}
        for path in tars(shards, split):
            with tarfile.open(path) as tar:
                for member in tar.getmembers():
                    file = tar.extractfile(member)
                    assert file is not None
                    members[member.name] = file.read()
        for row, (sample, number) in enumerate(zip(index.samples, numbers, strict=True)):
            target = members.pop(f"{sample['key']:09d}.{TARGET_COMPONENTS[task]}", None)
            assert len(members.pop(f"{sample['key']:09d}.png")) == sample["size"]
            assert (target is None) == (number >= COUNT - UNLABELED)
            if task == "classification":
                assert sample["label"] == (-1 if target is None else number % 3)
                assert target in (None, f"{number % 3:04d}".encode())
            elif task == "segmentation":
                stored = index.masks[row]
                assert stored["size"] == len(target or b"")
                assert target is not None or not (stored["offset"] or stored["crc32"])
            else:
                assert sources.targets is not None
                np.testing.assert_array_equal(index.targets[row], sources.targets[number])
                if target is not None:
                    np.testing.assert_array_equal(np.load(io.BytesIO(target)), index.targets[row])
        assert not members


def test_sources_have_ids_and_groups(shards: Path) -> None:
    for split in ("train", "val", "test"):
        rows = parquet.read_table(shards / f"{split}.sources.parquet").to_pylist()
        for row in rows:
            group = int(row["id"]) // 2
            assert row["source"] == f"photos/{row['id']}.png"
            assert row["group"] == (f"patient {group}" if group < 20 else None)


def test_they_pass_the_check(shards: Path) -> None:
    result = check(shards, "--decode")
    assert result.exit_code == 0, result.output


def test_the_bytes_are_the_same_again(task: str, shards: Path, tmp_path: Path) -> None:
    write_partly_labeled(tmp_path / "shards", task, unlabeled=UNLABELED, workers=2)
    first, again = contents(shards), contents(tmp_path / "shards")
    assert len(list(shards.glob("test-*.tar"))) > 1
    assert first == again


def test_the_rows_of_a_submission_belong_to_the_plan() -> None:
    sources = partly_labeled("classification", UNLABELED)
    rows = SubmissionRows(
        table="sample_submission.csv",
        id_column=0,
        cells=pa.table({"id": ["44", "45"], "label": ["", ""]}),
        sources=np.array([44, 45]),
    )
    plans = [
        ShardPlan(
            identity="",
            sources=sources,
            plan=make_plan(sources, val=None, seed=0),
            settings=BlockSettings(task="classification", classes=3, encoding=Encoding()),
            shards=(),
            submission=submission,
        )
        for submission in (
            None,
            rows,
            replace(rows, sources=np.array([45, 44])),
            replace(rows, id_column=1),
            replace(rows, cells=rows.cells.take(pa.array([1, 0]))),
        )
    ]
    assert len({plan.fingerprint() for plan in plans}) == len(plans)
    assert plans[1].fingerprint() == replace(plans[1], submission=replace(rows)).fingerprint()


def test_the_index_equals_that_of_wds2idx(shards: Path, tmp_path: Path) -> None:
    wds2idx = pytest.importorskip("wds2idx")
    for path in tars(shards, "test"):
        with wds2idx.IndexCreator(str(path), str(tmp_path / "idx"), verbose=False) as creator:
            creator.create_index()
        assert (tmp_path / "idx").read_bytes() == path.with_suffix(".idx").read_bytes()


# webdataset leaves its files to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_webdataset_reads_them(task: str, shards: Path) -> None:
    import webdataset

    read = webdataset.WebDataset(list(map(str, tars(shards, "test"))), shardshuffle=False)
    has_target = [TARGET_COMPONENTS[task] in sample for sample in read]
    assert has_target == [n < COUNT - UNLABELED for n in numbers_of(shards, "test")]


@pytest.mark.parametrize("missing", ["empty", "skip"])
def test_dali_reads_them(task: str, shards: Path, missing: str) -> None:
    from nvidia.dali import fn, pipeline_def, types

    paths = [str(path) for path in tars(shards, "test")]

    @pipeline_def(batch_size=1, num_threads=1, device_id=None)
    def graph():  # type: ignore[no-untyped-def]
        return tuple(
            fn.readers.webdataset(
                paths=paths,
                index_paths=[path.removesuffix("tar") + "idx" for path in paths],
                ext=["png", TARGET_COMPONENTS[task]],
                dtypes=[types.UINT8, types.UINT8],
                missing_component_behavior=missing,
                name="reader",
            )
        )

    pipe = graph()
    pipe.build()
    numbers = numbers_of(shards, "test")
    if missing == "skip":
        numbers = [number for number in numbers if number < COUNT - UNLABELED]
    sizes = Dataset(shards).split("test").samples["size"].tolist()
    read = [[output.at(0) for output in pipe.run()] for _ in numbers]
    assert [len(target) > 0 for _, target in read] == [n < COUNT - UNLABELED for n in numbers]
    if missing == "empty":
        assert [len(image) for image, _ in read] == sizes
    assert pipe.epoch_size("reader") == len(numbers)
