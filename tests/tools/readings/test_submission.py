"""The rows of the sample submission, their order and their ids, beside the shards of test."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import MisuseError
from tests.helpers.amounts import full_or_tenth
from tests.helpers.array_downloads import write_arrays
from tests.helpers.checking import check
from tests.helpers.downloads import download, packed
from tests.helpers.shard_runs import contents, made, shard
from tests.helpers.small_downloads import Files, lines, pictures
from tests.helpers.submissions import Stored, asked, csv_text, names_of, read_submission

TRAIN = {"train.csv": lines("id,label", *((n, "ab"[n % 2]) for n in range(8)))}


def leaf() -> Files:
    """Train and test in one folder; the tables tell which is which."""
    files = pictures(*(f"images/{n}.png" for n in range(12)))
    test = [(n, f"0.{n}") for n in range(8, 12)]
    files["train.csv"] = lines("id,species,width", *((n, "ab"[n % 2], f"0.{n}") for n in range(8)))
    files["test.csv"] = lines("id,width", *test)
    return files


def stored(folder: Path, files: Files, *options: str) -> tuple[Stored, str]:
    """What a run writes and says."""
    src = download(folder / "src", files)
    result = shard(src, folder / "out", "--workers", "1", *options)
    assert result.exit_code == 0, result.output
    return read_submission(folder / "out"), result.output


def test_train_and_test_in_one_folder(tmp_path: Path) -> None:
    files = leaf() | {"sample_submission.csv": lines("id,key,b", *((n, 0.5, 0.5) for n in (11, 8)))}
    files["sample_submission.csv"] += "010,0.5,1e-1\n77,1,1\n"  # type: ignore[operator]
    rows, output = stored(tmp_path, files)
    assert rows.sources == ["images/11.png", "images/8.png", "images/10.png", None]
    assert rows.columns == ["id", "key", "b"] and rows.table == "sample_submission.csv"
    assert rows.id_column == 0 and rows.csv == files["sample_submission.csv"]
    assert rows.ids == {
        "images/8.png": "8",
        "images/9.png": "9",
        "images/10.png": "010",
        "images/11.png": "11",
    }
    assert "3 of 4 rows of sample_submission.csv ask for a test image, by column 'id'" in output
    assert "first ids without a test image: '77'." in output and "Not used" not in output
    assert check(tmp_path / "out").exit_code == 0


def test_ids_of_a_test_table_without_a_submission(tmp_path: Path) -> None:
    files = leaf() | {"test.csv": lines("id,width", *((f"0{n}.png", n) for n in range(8, 12)))}
    files |= {f"images/0{n}.png": files.pop(f"images/{n}.png") for n in range(8, 12)}
    made(download(tmp_path / "src", files), tmp_path / "out", "--workers", "1")
    ids = parquet.read_table(tmp_path / "out" / "test.sources.parquet").to_pydict()
    assert sorted(ids["id"]) == ["010.png", "011.png", "08.png", "09.png"]
    assert not list((tmp_path / "out").glob("*.submission.parquet"))


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=6)
CELLS = TEXT.map(lambda text: text.lstrip()) | st.sampled_from(['"', 'a,"b"', "007", "", "NA", "é"])


@settings(max_examples=full_or_tenth(300))
@given(
    order=st.permutations(range(8, 14)),
    cells=st.lists(CELLS, min_size=6, max_size=6),
    form=st.sampled_from(["{}", "{}.png", "images/{}.png", "000{}"]),
)
def test_any_order_and_any_cells_come_back(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], cells: list[str], form: str
) -> None:
    files = {**TRAIN, **pictures(*(f"images/{n}.png" for n in range(14)))}
    texts = [(form.format(n), cell, '"q"') for n, cell in zip(order, cells, strict=True)]
    header = ("ID", 'a "label"', "ünï")
    files["sample_submission.csv"] = csv_text(header, *texts)
    sources, rows = asked(download(tmp_path_factory.mktemp("any"), files))
    assert rows is not None and rows.table == "sample_submission.csv" and rows.id_column == 0
    assert rows.cells.column_names == list(header)
    assert list(zip(*rows.cells.to_pydict().values(), strict=True)) == texts
    assert names_of(sources, rows) == [f"images/{n}.png" for n in order]
    ids = {sources.names[n]: sources.id(n) for n in rows.sources.tolist()}
    assert ids == {f"images/{n}.png": form.format(n) for n in range(8, 14)}


def test_workers_and_a_zip_do_not_change_the_table(tmp_path: Path) -> None:
    submission = lines(
        "ImageId,ClassId,EncodedPixels", *((f"{n}.png", k, "") for n in (9, 8, 11) for k in (1, 2))
    )
    # The key of a rejected image is missing.
    files = leaf() | {"sample_submission.csv": submission, "images/11.png": b"<html>"}
    src = download(tmp_path / "src", files)
    options = ("--max-rejected", "0.2")
    made(src, tmp_path / "one", "--workers", "1", *options)
    made(src, tmp_path / "three", "--workers", "3", *options)
    assert contents(tmp_path / "one") == contents(tmp_path / "three")
    asked_for = [name for name in ("images/9.png", "images/8.png", None) for _ in range(2)]
    assert read_submission(tmp_path / "one").sources == asked_for
    data = packed({"sample_submission.csv": submission.encode("utf-16")})
    zipped = {name: data for name, data in files.items() if name != "sample_submission.csv"}
    zipped["sample_submission.csv.zip"] = data
    made(download(tmp_path / "zip", zipped), tmp_path / "unzipped", "--workers", "1", *options)
    read = read_submission(tmp_path / "unzipped")
    assert read.csv == submission
    assert read.table == "sample_submission.csv.zip/sample_submission.csv"


def test_the_submission_with_the_most_rows_that_match_is_taken(tmp_path: Path) -> None:
    files = leaf() | {
        "stage1_sample_submission.csv": lines("id,a", (8, 0), (9, 0)),
        "stage2_sample_submission.csv": lines("id,a", (9, 0), (8, 0), (10, 0)),
        "wanted.csv": lines("id,a", (10, 5)),
    }
    src = download(tmp_path, files)
    sources, rows = asked(src)
    assert rows is not None and rows.table == "stage2_sample_submission.csv"
    assert (
        "stage1_sample_submission.csv is not used: 2 of 2 rows match. --submission "
        "stage1_sample_submission.csv picks it."
    ) in sources.notes
    # Without the option, it would be a table of labels.
    _, rows = asked(src, submission="wanted.csv")
    assert rows is not None and rows.table == "wanted.csv"
    assert rows.cells.to_pylist() == [{"id": "10", "a": "5"}]
    with pytest.raises(MisuseError, match=r"--submission mine\.csv: the download has no such"):
        asked(src, submission="mine.csv")


def test_labels_do_not_hide_the_submission(tmp_path: Path) -> None:
    files = leaf() | {"sample_submission.csv": lines("id,a", *((n, 0) for n in (9, 8, 10, 11)))}
    sources, rows = asked(
        download(tmp_path, files), labels=("train.csv",), label_column=("species",)
    )
    assert rows is not None
    assert names_of(sources, rows) == [f"images/{n}.png" for n in (9, 8, 10, 11)]


def test_the_same_names_in_train_and_test(tmp_path: Path) -> None:
    files = pictures(*(f"train/{c}.{n}.jpg" for c in ("cat", "dog") for n in (1, 2, 3)))
    files |= pictures(*(f"test1/{n}.jpg" for n in (1, 2, 3)))
    files["sampleSubmission.csv"] = lines("id,label", (3, 0), (1, 0), (2, 0))
    sources, rows = asked(download(tmp_path, files))
    assert rows is not None
    assert names_of(sources, rows) == ["test1/3.jpg", "test1/1.jpg", "test1/2.jpg"]


def test_rows_that_name_no_image_are_said(tmp_path: Path) -> None:
    rows = [(f"{n}.png_Fish", 0) for n in range(8, 12)]
    files = leaf() | {"sample_submission.csv": lines("Image_Label,EncodedPixels", *rows)}
    src = download(tmp_path / "src", files)
    result = shard(src, tmp_path / "out", "--workers", "1")
    assert (
        "None of 4 rows of sample_submission.csv matches a test image (first ids: '8.png_Fish', "
        "'9.png_Fish', '10.png_Fish'): no rows are stored" in result.output
    )
    assert not (tmp_path / "out" / "test.submission.parquet").exists()


def test_few_numbers_that_match_are_chance(tmp_path: Path) -> None:
    rows = [(n, 0) for n in range(9, 60)]
    files = leaf() | {"sample_submission.csv": lines("RowId,Location", *rows)}
    sources, none = asked(download(tmp_path, files))
    assert none is None and any("3 of 51 rows of sample_sub" in note for note in sources.notes)
    _, told = asked(tmp_path, submission="sample_submission.csv")
    assert told is not None and np.count_nonzero(told.sources >= 0) == 3


def test_images_without_labels_can_be_left_out(tmp_path: Path) -> None:
    files = leaf() | {"sample_submission.csv": lines("id,a", (8, 0))}
    src = download(tmp_path / "src", files)
    result = shard(src, tmp_path / "out", "--workers", "1", "--unlabeled", "drop")
    assert "Left out 4 test images without labels, because of --unlabeled drop." in result.output
    assert "sample_submission.csv is not used: no image is in split test." in result.output
    assert not list((tmp_path / "out").glob("test*"))


PIXELS = [f"pixel{n}" for n in range(64)]
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 64)).tolist()


def digits(first: int = 1, count: int = 8) -> Files:
    train = [(n % 3, *IMAGES[n]) for n in range(12)]
    return {
        "train.csv": lines(["label", *PIXELS], *train),
        "test.csv": lines(PIXELS, *IMAGES[12:]),
        "sample_submission.csv": lines("ImageId,Label", *((n + first, 0) for n in range(count))),
    }


@pytest.mark.parametrize("first", [0, 1])
def test_rows_of_pixels_are_matched_by_their_order(tmp_path: Path, first: int) -> None:
    read, output = stored(tmp_path, digits(first))
    assert read.sources == [f"test.csv row {n + 2}" for n in range(8)]
    assert read.ids == {f"test.csv row {n + 2}": str(n + first) for n in range(8)}
    assert (
        "The rows of sample_submission.csv are matched to the rows of test.csv by their order."
        in output
    )


def test_a_rejected_row_of_pixels_moves_no_other(tmp_path: Path) -> None:
    files = digits()
    cells = [[*IMAGES[12]], ["x", *IMAGES[13][1:]], *IMAGES[14:]]
    files["test.csv"] = lines(PIXELS, *cells)
    read, _ = stored(tmp_path, files, "--max-rejected", "0.5")
    places = [f"test.csv row {n + 2}" for n in range(8)]
    assert read.sources == [places[0], None, *places[2:]]


@pytest.mark.parametrize(("first", "count"), [(5, 8), (1, 7)])
def test_other_numbers_are_no_order(tmp_path: Path, first: int, count: int) -> None:
    src = download(tmp_path / "src", digits(first, count))
    result = shard(src, tmp_path / "out", "--workers", "1")
    assert f"None of {count} rows of sample_submission.csv matches" in result.output
    assert not (tmp_path / "out" / "test.submission.parquet").exists()


def test_rows_of_pixels_with_ids_are_matched_by_them(tmp_path: Path) -> None:
    files = digits()
    files["test.csv"] = lines(["id", *PIXELS], *((7 - n, *IMAGES[n]) for n in range(8)))
    files["sample_submission.csv"] = lines("id,label", *((n, 0) for n in range(8)))
    read, _ = stored(tmp_path, files)
    assert read.sources == [f"test.csv row {9 - n}" for n in range(8)]


def test_a_number_may_lack_the_zeros_of_an_id(tmp_path: Path) -> None:
    files = digits()
    rows = ((f"{7 - n:05d}", *IMAGES[n]) for n in range(8))
    files["test.csv"] = lines(["id", *PIXELS], *rows)
    files["sample_submission.csv"] = lines("id,label", *((n, 0) for n in range(8)))
    read, _ = stored(tmp_path, files)
    assert read.sources == [f"test.csv row {9 - n}" for n in range(8)]


def test_rows_with_other_ids_are_not_matched_by_their_order(tmp_path: Path) -> None:
    files = digits()
    files["test.csv"] = lines(["id", *PIXELS], *((f"t_{7 - n}", *IMAGES[n]) for n in range(8)))
    files["sample_submission.csv"] = lines("id,label", *((n, 0) for n in range(8)))
    src = download(tmp_path / "src", files)
    result = shard(src, tmp_path / "out", "--workers", "1")
    assert "None of 8 rows of sample_submission.csv matches" in result.output
    assert not (tmp_path / "out" / "test.submission.parquet").exists()


def test_pixels_without_a_header(tmp_path: Path) -> None:
    files = digits()
    for name in ("train.csv", "test.csv"):
        files[name] = str(files[name]).partition("\n")[2]
    assert stored(tmp_path, files)[0].sources == [f"test.csv row {n + 1}" for n in range(8)]


def arrays(folder: Path, kind: str) -> None:
    train, test = (
        np.array(rows, np.uint8).reshape(-1, 8, 8) for rows in (IMAGES[:12], IMAGES[12:])
    )
    labels = np.arange(12) % 3
    if kind == "npy":
        for name, array in (("x_train", train), ("y_train", labels), ("x_test", test)):
            write_arrays(folder / f"{name}.npy", array)
    elif kind == "npz":
        write_arrays(folder / "a.npz", x_train=train, y_train=labels, x_test=test)
    elif kind == "hdf5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(folder / "a.h5", "w") as file:
            file["train_x"], file["train_y"], file["test_x"] = train, labels, test
    else:
        pixels = {
            split: {f"pixel{n}": array.reshape(-1, 64)[:, n] for n in range(64)}
            for split, array in (("train", train), ("test", test))
        }
        parquet.write_table(
            pa.table({"label": labels, **pixels["train"]}), folder / "train.parquet"
        )
        parquet.write_table(pa.table(pixels["test"]), folder / "test.parquet")


@pytest.mark.parametrize("kind", ["npy", "npz", "hdf5", "parquet"])
def test_rows_of_arrays_are_matched_by_their_order(tmp_path: Path, kind: str) -> None:
    src = download(tmp_path / "src", {"sample_submission.csv": digits()["sample_submission.csv"]})
    arrays(src, kind)
    dataset = made(src, tmp_path / "out", "--workers", "1")
    assert dataset.manifest.splits["test"].unlabeled == 8
    read = read_submission(tmp_path / "out")
    files = {"npy": "x_test.npy", "npz": "a.npz x_test", "hdf5": "a.h5 test_x"}
    assert read.sources == [f"{files.get(kind, 'test.parquet')} row {n + 1}" for n in range(8)]


def test_rows_of_arrays_with_ids(tmp_path: Path) -> None:
    src = download(
        tmp_path / "src",
        {
            "train.csv": lines("image_id,glyph", *((f"Train_{n}", "ab"[n % 2]) for n in range(12))),
            "sample_submission.csv": lines("image_id,glyph", *((f"T.{n}", 0) for n in (3, 1, 7))),
        },
    )
    for split, ids, rows in (("train", "Train_", IMAGES[:12]), ("test", "T.", IMAGES[12:])):
        pixels = {str(n): [row[n] for row in rows] for n in range(64)}
        names = [f"{ids}{n}" for n in range(len(rows))]
        parquet.write_table(pa.table({"image_id": names, **pixels}), src / f"{split}.parquet")
    made(src, tmp_path / "out", "--workers", "1")
    read = read_submission(tmp_path / "out")
    assert read.sources == [f"test.parquet row {n + 1}" for n in (3, 1, 7)]
    assert read.ids["test.parquet row 1"] == "T.0"
