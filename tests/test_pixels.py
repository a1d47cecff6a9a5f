"""Pixel tables: every form gives the same images, and what can't be read is named."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from tools.config import ShardConfig
from tools.download.files import index_files
from tools.download.kaggle import find_parts
from tools.download.sources import SPLITS, Sources
from tools.pixel_tables import parsing
from tools.pixel_tables.gathering import gather_pixels
from tools.pixel_tables.parsing import parse_block, parse_lines
from tools.pixel_tables.pieces import cut, parse_piece
from tools.pixel_tables.rows import RowForm, parse_cells
from tools.pixel_tables.tables import PixelTable, first_rows
from tools.workers import Workers
from tools.writing.block_encoding import prepare_worker

Unpack = Callable[[str], Path]
Pixels = NDArray[np.uint8]

ROWS = 12
IMAGES = np.random.default_rng(0).integers(0, 256, (ROWS, 16)).astype(np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (ROWS, 48)).astype(np.uint8)
LABELS = [str(7 - n % 3) for n in range(ROWS)]


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(2, prepare=prepare_worker) as workers:
        yield workers


def find(folder: Path, **arguments: Any) -> list[PixelTable]:
    config = ShardConfig(src=str(folder), out=str(folder / "out"), **arguments)
    parts = find_parts(index_files(str(folder)), config)
    assert all(isinstance(part, PixelTable) for part in parts)
    return parts  # type: ignore[return-value]


def gather(folder: Path, workers: Workers, **arguments: Any) -> Sources:
    spool = folder / "pixels.spool"
    spool.unlink(missing_ok=True)
    return gather_pixels(find(folder, **arguments), workers, spool, lambda count: None)


def images_of(sources: Sources) -> Pixels:
    """In RGB order."""
    images = np.stack([np.asarray(image) for _, image in sources.images.load(2**20)])
    return images if images.ndim == 3 else images[..., ::-1]


def labels_of(sources: Sources) -> list[str]:
    return [sources.classes[n] for n in sources.labels.tolist()]


def write(folder: Path, text: str, name: str = "train.csv") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(text.encode())
    return folder


def table(
    columns: Sequence[str] | None, cells: Callable[[int, list[str]], Sequence[str]], **form: Any
) -> str:
    """The 12 images as a CSV; ``cells(number, values)`` are those of a row."""
    separator, end = form.get("separator", ","), form.get("end", "\n")
    rows = [cells(n, [str(value) for value in image]) for n, image in enumerate(IMAGES.tolist())]
    lines = [separator.join(row) for row in ([columns] if columns else []) + rows]
    return end.join(lines) + end


def label_first(number: int, values: list[str]) -> list[str]:
    return [LABELS[number], *values]


def packed(number: int, values: list[str]) -> list[str]:
    return [LABELS[number], " ".join(values)]


NAMED = ["label", *(f"pixel{n}" for n in range(16))]
FORMS = {
    "digit recognizer": table(NAMED, label_first),
    "from 1": table(["label", *(f"pixel{n}" for n in range(1, 17))], label_first),
    "1x1": table(["label", *(f"{y}x{x}" for y in range(4) for x in range(4))], label_first),
    "no header": table(None, label_first),
    "no header, with an index": table(None, lambda n, v: [str(n), *label_first(n, v)]),
    "label last": table(
        [*(f"pixel{n:04}" for n in range(16)), "label"], lambda n, v: [*v, LABELS[n]]
    ),
    "label in between": table(
        [*NAMED[1:7], "class", *NAMED[7:]], lambda n, v: [*v[:6], LABELS[n], *v[6:]]
    ),
    "id": table(["id", *NAMED], lambda n, v: [str(n), *label_first(n, v)]),
    "pandas index": table(["", *NAMED], lambda n, v: [str(n), *label_first(n, v)]),
    "R": table([f"V{n}" for n in range(1, 18)], label_first),
    "bare numbers": table(["label", *(str(n) for n in range(16))], label_first),
    "tabs": table(NAMED, label_first, separator="\t"),
    "BOM, CRLF": "\ufeff" + table(NAMED, label_first, end="\r\n"),
    "no line end": table(NAMED, label_first).rstrip(),
    "blank lines": table(NAMED, label_first).replace("\n", "\n\n  \n"),
    "quotes": table(NAMED, lambda n, v: [f'"{cell}"' for cell in label_first(n, v)]),
    "whole floats": table(NAMED, lambda n, v: [LABELS[n], *(f"{value}.0" for value in v)]),
    "as savetxt": table(None, lambda n, v: [LABELS[n], *(f"{float(x):.18e}" for x in v)]),
    "spaces": table(NAMED, lambda n, v: [f" {cell} " for cell in label_first(n, v)]),
    "packed": table(["emotion", "pixels"], packed),
    "packed, CRLF": table(["emotion", "pixels"], packed, end="\r\n"),
    "packed, quotes": table(["emotion", "pixels"], lambda n, v: [LABELS[n], f'"{" ".join(v)}"']),
    "packed, no header": table(None, packed),
    "packed first": table(["image", "label"], lambda n, v: packed(n, v)[::-1]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_images(tmp_path: Path, workers: Workers, form: str) -> None:
    sources = gather(write(tmp_path, FORMS[form]), workers)
    assert labels_of(sources) == LABELS and sources.rejected == ()
    np.testing.assert_array_equal(images_of(sources), IMAGES.reshape(-1, 4, 4))
    assert sources.splits is None and sources.task == "classification"


def test_a_table_in_a_zip(tmp_path: Path, workers: Workers) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/train.csv", FORMS["digit recognizer"])
    sources = gather(tmp_path, workers)
    np.testing.assert_array_equal(images_of(sources), IMAGES.reshape(-1, 4, 4))
    assert sources.names[3] == "a.zip/a/train.csv row 5"


@pytest.mark.parametrize("layout", ["interleaved", "planar"])
def test_colours(tmp_path: Path, workers: Workers, layout: str) -> None:
    values = RGB.reshape(-1, 4, 4, 3)
    written = (values.transpose(0, 3, 1, 2) if layout == "planar" else values).reshape(ROWS, -1)
    rows = [",".join(map(str, [*row, label])) for row, label in zip(written, LABELS, strict=True)]
    header = ",".join([*(f"pixel{n:04}" for n in range(48)), "label"])
    folder = write(tmp_path, "\n".join([header, *rows]), "hmnist_4_4_RGB.csv")
    sources = gather(folder, workers, pixel_layout=layout)
    np.testing.assert_array_equal(images_of(sources), values)
    (part,) = find(folder, pixel_layout=layout)
    assert f"4 x 4 pixels (RGB, {layout})" in part.describe()


def test_pictures_that_are_not_square(tmp_path: Path, workers: Workers) -> None:
    header = ",".join(["label", *(f"pixel{n}" for n in range(18))])
    rows = "\n".join(f"{n % 2},{','.join(['7'] * 18)}" for n in range(4))
    folder = write(tmp_path, f"{header}\n{rows}\n")
    with pytest.raises(MisuseError, match=r"18 values .* no square image.* --pixel-size"):
        find(folder, labels="train.csv")
    assert images_of(gather(folder, workers, pixel_size=(3, 6))).shape == (4, 3, 6)
    assert images_of(gather(folder, workers, pixel_size=(2, 3))).shape == (4, 2, 3, 3)


def test_a_column_of_splits(tmp_path: Path, workers: Workers) -> None:
    usage = ["Training", "PublicTest", "PrivateTest"] * 4
    text = table(["emotion", "pixels", "Usage"], lambda n, v: [*packed(n, v), usage[n]])
    sources = gather(write(tmp_path, text, "fer2013.csv"), workers)
    assert sources.splits is not None and labels_of(sources) == LABELS
    assert [SPLITS[n] for n in sources.splits.tolist()] == ["train", "val", "test"] * 4
    (part,) = find(tmp_path)
    assert "splits in column 'Usage'" in part.describe()
    assert first_rows(part, 2) == [
        ("fer2013.csv row 2", "7", "train"),
        ("fer2013.csv row 3", "6", "val"),
    ]


def test_a_column_of_booleans_and_one_of_groups(tmp_path: Path, workers: Workers) -> None:
    text = table(
        ["is_val", "patient", *NAMED],
        lambda n, v: [str(n % 4 == 0), f"p{n // 2}", *label_first(n, v)],
    )
    sources = gather(write(tmp_path, text), workers, group_column="patient")
    assert sources.splits is not None and sources.groups is not None
    assert sources.splits.tolist() == [1, 0, 0, 0] * 3
    assert sources.groups.tolist() == [n // 2 for n in range(ROWS)]
    asked = gather(tmp_path, workers, split_column="is_val", label_column=("label",))
    assert asked.groups is None and asked.splits is not None
    with pytest.raises(MisuseError, match=r"no .*column 'fold' \(--split-column\)"):
        find(tmp_path, split_column="fold")


def test_several_tables_are_splits(tmp_path: Path, workers: Workers) -> None:
    text = FORMS["from 1"]
    write(tmp_path, text, "sign_mnist_train.csv")
    write(tmp_path, "\n".join(text.splitlines()[:6]), "sign_mnist_test.csv")
    sources = gather(tmp_path, workers)
    assert sources.splits is not None
    assert sources.splits.tolist() == [0] * ROWS + [2] * 5
    assert sources.names[ROWS] == "sign_mnist_test.csv row 2"
    np.testing.assert_array_equal(images_of(sources)[ROWS:], images_of(sources)[:5])
    write(tmp_path, FORMS["packed"].replace("emotion", "label"), "sign_mnist_valid.csv")
    assert len(gather(tmp_path, workers)) == 2 * ROWS + 5


def test_tables_that_do_not_fit_together(tmp_path: Path, workers: Workers) -> None:
    write(tmp_path, FORMS["digit recognizer"])
    row = ",".join(["1"] * 26)
    write(tmp_path, f"{row}\n{row}\n", "test.csv")
    with pytest.raises(DataError, match=r"several sizes: train.csv \(4, 4\), test.csv \(5, 5\)"):
        gather(tmp_path, workers)
    text = table([*NAMED, "Usage"], lambda n, v: [*label_first(n, v), "Training"])
    write(tmp_path, text, "test.csv")
    with pytest.raises(DataError, match="don't hold the same columns"):
        gather(tmp_path, workers)


def test_a_table_without_labels_is_left_out_or_said(tmp_path: Path) -> None:
    write(tmp_path, FORMS["digit recognizer"])
    write(tmp_path, table(NAMED[1:], lambda n, v: v), "test.csv")
    write(tmp_path, table(["id", *NAMED[1:]], lambda n, v: [str(n), *v]), "test2.csv")
    (part,) = find(tmp_path)
    assert part.table.name == "train.csv" and part.describe() == (
        "train.csv: a row an image of 4 x 4 pixels (gray), labels in column 'label'"
    )
    for name in ("test.csv", "test2.csv"):
        with pytest.raises(MisuseError, match=f"{name}: .* 4 x 4 pixels and no column of labels"):
            find(tmp_path, labels=name)


def test_several_columns_may_be_the_label(tmp_path: Path, workers: Workers) -> None:
    text = table(
        ["age", "gender", "img_name", "pixels"],
        lambda n, v: [str(20 + n % 5), str(n % 2), f"{n}.jpg", " ".join(v)],
    )
    (part,) = find(write(tmp_path, text))
    with pytest.raises(MisuseError, match=r"2 columns .*\n  --label-column age\n.* gender"):
        part.describe()
    sources = gather(tmp_path, workers, label_column=("gender",))
    assert labels_of(sources) == [str(n % 2) for n in range(ROWS)]
    ages = gather(tmp_path, workers, label_column=("age",), task="regression")
    assert ages.targets is not None and ages.targets[:3, 0].tolist() == [20, 21, 22]


def test_keypoints_are_a_regression(tmp_path: Path, workers: Workers) -> None:
    points = ["left_eye_x", "left_eye_y", "nose_x"]

    def row(number: int, values: list[str]) -> list[str]:
        return [f"{number}.25", f"{number * 2}.5", "" if number == 4 else "0.125", " ".join(values)]

    sources = gather(write(tmp_path, table([*points, "Image"], row), "training.csv"), workers)
    assert sources.task == "regression" and sources.target_names == tuple(points)
    assert sources.targets is not None and sources.targets.dtype == np.float32
    kept = [n for n in range(ROWS) if n != 4]
    assert sources.targets.tolist() == [[n + 0.25, 2 * n + 0.5, 0.125] for n in kept]
    assert sources.labels.tolist() == [-1] * (ROWS - 1)
    np.testing.assert_array_equal(images_of(sources), IMAGES[kept].reshape(-1, 4, 4))
    assert sources.rejected == (("training.csv row 6", "column 'nose_x' is empty"),)


def test_columns_of_0_and_1(tmp_path: Path, workers: Workers) -> None:
    names = ["cat", "dog", "bird"]
    hot = np.eye(3, dtype=int)[np.arange(ROWS) % 3]
    text = table([*names, *NAMED[1:]], lambda n, v: [*map(str, hot[n]), *v])
    columns = {"label_column": tuple(names)}
    sources = gather(write(tmp_path, text), workers, **columns)
    assert labels_of(sources) == [names[n % 3] for n in range(ROWS)] and sources.ordered
    hot[5] = 1
    text = table([*names, *NAMED[1:]], lambda n, v: [*map(str, hot[n]), *v])
    sources = gather(write(tmp_path, text), workers, **columns)
    assert sources.task == "multi-label" and sources.classes == tuple(names)
    assert sources.targets is not None and sources.targets.tolist() == hot.tolist()
    sources = gather(tmp_path, workers, task="classification", **columns)
    assert len(sources) == ROWS - 1
    assert sources.rejected == (
        ("train.csv row 7", "3 of the one-hot columns are 1, not a single one"),
    )


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"task": "segmentation"}, MisuseError, "no masks"),
        ({"task": "multi-label"}, MisuseError, "of 0 and 1 for each label"),
        ({"label_column": ("label", "letter")}, MisuseError, "name a single one"),
        ({"labels": "train.csv", "label_column": ("breed",)}, MisuseError, "no column 'breed'"),
    ],
)
def test_misuse(
    tmp_path: Path, arguments: dict[str, Any], kind: type[click.ClickException], words: str
) -> None:
    text = table(["letter", *NAMED], lambda n, v: ["abcd"[n % 4], *label_first(n, v)])
    with pytest.raises(kind, match=words):
        [part.describe() for part in find(write(tmp_path, text), **arguments)]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (label_first, "row 3: column 'pixel1' holds '0.5', and pixels are integers"),
        (packed, "row 3: column 'pixels' holds '0.5', and pixels are integers"),
    ],
)
def test_fractions_are_refused(tmp_path: Path, cells: Any, words: str) -> None:
    def row(number: int, values: list[str]) -> Sequence[str]:
        return list(cells(number, ["0", "0.5" if number == 1 else "1", *values[2:]]))

    columns = NAMED if cells is label_first else ["label", "pixels"]
    with pytest.raises(DataError, match=words):
        find(write(tmp_path, table(columns, row)))[0].describe()


def test_numbers_that_are_no_pixels(tmp_path: Path) -> None:
    """Features of images: neither named like pixels nor integers."""
    rows = [",".join([f"{n}.png", *["0.25"] * 16]) for n in range(9)]
    folder = write(tmp_path, "\n".join([",".join(["id", *"abcdefghijklmnop"]), *rows]))
    with pytest.raises(DataError):
        find(folder)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("256", "column 'pixel3' is '256', not an integer from 0 to 255"),
        ("299", "column 'pixel3' is '299', not an integer from 0 to 255"),
        ("1000", "column 'pixel3' is '1000', not an integer from 0 to 255"),
        ("-1", "column 'pixel3' is '-1', not an integer from 0 to 255"),
        ("", "column 'pixel3' is '', not an integer from 0 to 255"),
        ("x", "column 'pixel3' is 'x', not an integer from 0 to 255"),
        ("1,2", "the row is cut short or too long: 18 cells, not 17"),
        (".0", None),
        ("0.0", None),
    ],
)
def test_a_bad_value_is_named(
    tmp_path: Path, workers: Workers, cell: str, reason: str | None
) -> None:
    def row(number: int, values: list[str]) -> list[str]:
        bad = [*values[:3], cell, *values[4:]]
        return label_first(number, bad if number == 5 else values)

    sources = gather(write(tmp_path, table(NAMED, row)), workers)
    assert sources.rejected == ((("train.csv row 7", reason),) if reason else ())
    assert len(sources) == ROWS - len(sources.rejected)


def test_a_bad_value_among_many_in_a_cell_is_named(tmp_path: Path, workers: Workers) -> None:
    def row(number: int, values: list[str]) -> list[str]:
        bad = {3: [*values[:7], "x", *values[8:]], 4: values[:15]}.get(number, values)
        return packed(number, bad)

    sources = gather(write(tmp_path, table(["emotion", "pixels"], row)), workers)
    assert sources.rejected == (
        ("train.csv row 5", "value 8 of column 'pixels' is 'x', not an integer from 0 to 255"),
        ("train.csv row 6", "column 'pixels' holds 15 values, not 16"),
    )


def test_what_else_makes_no_source(tmp_path: Path, workers: Workers) -> None:
    lines = FORMS["digit recognizer"].encode().splitlines()
    lines[2] = lines[2][1:]
    lines[4] = b"caf\xe9" + lines[4][1:]
    lines[-1] = lines[-1][:20]
    write(tmp_path, "")
    (tmp_path / "train.csv").write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=r"not UTF-8 \(line 5, byte 0xe9\)"):
        gather(tmp_path, workers)
    good = FORMS["digit recognizer"].splitlines()[1].encode()
    lines = [lines[0], *[good] * 6000, *lines[2:]]
    (tmp_path / "train.csv").write_bytes(b"\n".join(lines))
    sources = gather(tmp_path, workers)
    assert len(sources) == 6000 + 8
    assert [reason.split(":")[0] for _, reason in sources.rejected] == [
        "no label",
        "the row is not UTF-8 (byte 0xe9)",
        "the row is cut short or too long",
    ]


def test_nothing_is_left(tmp_path: Path, workers: Workers) -> None:
    text = table(NAMED, lambda n, v: ["", *v])
    with pytest.raises(DataError, match=r"no row is an image .* first: train.csv row 2: no label"):
        gather(write(tmp_path, text), workers)


def test_pieces_of_any_size_give_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [[str(n % 7), *[str(n % 256) if n % 3 else "0"] * 16] for n in range(300)]
    (part,) = find(write(tmp_path, "\n".join(map(",".join, [NAMED, *rows]))))
    wanted = np.array([[int(cell) for cell in row[1:]] for row in rows], np.uint8)
    monkeypatch.setattr(parsing, "BLOCK_BYTES", 100)
    spool = tmp_path / "spool"
    for piece_bytes in (1, 40, 1000, 10**6):
        spool.write_bytes(b"")
        parsed = [
            parse_piece(piece) for piece in cut(part.table, part.form(), spool, 5, piece_bytes)
        ]
        slots = np.concatenate([piece.slots for piece in parsed])
        assert len(set(slots.tolist())) == 300 and slots.min() >= 5
        spooled = np.fromfile(spool, np.uint8)
        spooled = np.concatenate([spooled, np.zeros(-len(spooled) % 16, np.uint8)])
        np.testing.assert_array_equal(spooled.reshape(-1, 16)[slots], wanted)
        assert sum(piece.line_count for piece in parsed) == 301
        assert sum(piece.read_bytes for piece in parsed) == (tmp_path / "train.csv").stat().st_size


SHORT = RowForm(
    delimiter=",",
    columns=("label", "a", "b", "c"),
    pixels=(1, 2, 3),
    values=3,
    texts=((0, "label"),),
)
PACKED = RowForm(
    delimiter=",", columns=("pixels", "label"), pixels=(0,), values=3, texts=((1, "label"),)
)
plain = st.integers(0, 255)
spellings = st.sampled_from(["{}", "{:02}", "{:03}", "{}.0"])


@given(
    rows=st.lists(st.lists(st.tuples(plain, spellings), min_size=3, max_size=3), min_size=1),
    packed=st.booleans(),
)
def test_whole_blocks_are_what_int_says(rows: Any, packed: bool) -> None:
    cells = [[form.format(value) for value, form in row] for row in rows]
    if any(len(cell.removesuffix(".0")) > 3 for row in cells for cell in row):
        return
    if packed:
        lines = [" ".join(row) + ",x" for row in cells]
    else:
        lines = ["x," + ",".join(row) for row in cells]
    data = ("\n".join(lines) + "\n").encode()
    found = parse_block(data, PACKED if packed else SHORT)
    assert found is not None and found.texts == [["x"] * len(rows)]
    assert found.pixels.tolist() == [[value for value, _ in row] for row in rows]


@given(data=st.text(alphabet='0123456789.,,,  \n\n"-xé\r', max_size=60), packed=st.booleans())
def test_a_whole_block_is_refused_or_right(data: str, packed: bool) -> None:
    form = PACKED if packed else SHORT
    block = data.encode() + b"\n"
    whole, single = parse_block(block, form), parse_cells(block, form)
    if whole is not None:
        assert not single.rejected
        assert whole.texts == single.texts and whole.line_count == single.line_count
        np.testing.assert_array_equal(whole.pixels, single.pixels)
        np.testing.assert_array_equal(whole.lines, single.lines)


@given(cell=st.one_of(st.text(max_size=4), st.integers(-300, 1300).map(str)), at=st.integers(0, 2))
def test_a_cell_is_a_pixel_or_named(cell: str, at: int) -> None:
    if set(cell) & set(',\n\r"'):
        return
    cells = ["1", "22", "255"]
    cells[at] = cell
    (rows,) = parse_lines(f"x,{','.join(cells)}".encode(), SHORT)
    try:
        value = float(cell)
    except ValueError:
        value = -1
    if value in range(256):
        assert rows.pixels[0, at] == value and not rows.rejected
    else:
        assert len(rows.pixels) == 0 and repr(cell.strip()) in rows.rejected[0][1]


def test_digit_recognizer(shared_data: Unpack, workers: Workers, tmp_path: Path) -> None:
    name = "digit_recognizer_train_1537rows"
    for suffix in ("", "_truncated_last"):
        source = shared_data("csv_pixels") / f"{name}{suffix}.csv"
        folder = tmp_path / f"source{suffix}"
        write(folder, source.read_text())
        sources = gather(folder, workers)
        lines = source.read_text().splitlines()[1:1538]
        values = np.array([[int(cell) for cell in line.split(",")] for line in lines])
        assert labels_of(sources) == [str(label) for label in values[:, 0]]
        np.testing.assert_array_equal(images_of(sources).reshape(1537, -1), values[:, 1:])
        reason = "the row is cut short or too long: 314 cells, not 785"
        assert sources.rejected == ((("train.csv row 1539", reason),) if suffix else ())


@pytest.mark.parametrize("layout", ["interleaved", "planar"])
def test_cifar(shared_data: Unpack, workers: Workers, layout: str, tmp_path: Path) -> None:
    source = shared_data("cifar10_kaggle_png200")
    write(tmp_path, (source / f"pixels_rgb_{layout}.csv").read_bytes().decode())
    sources = gather(tmp_path, workers, pixel_layout=layout)
    pictures = [cv2.imread(str(source / "train" / f"{n}.png")) for n in range(1, 201)]
    np.testing.assert_array_equal(images_of(sources)[..., ::-1], np.stack(pictures))
