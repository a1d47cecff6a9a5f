"""Label columns and their cells: what is detected, what is ambiguous, which option overrides it."""

from pathlib import Path

import pytest

from pipeline.errors import DataError, MisuseError
from pipeline.storage.manifest import SPLITS
from tests.helpers.downloads import collect, download, labeled
from tools.download.file_index import index_files
from tools.download.label_sets import as_table
from tools.download.sources import Sources
from tools.readings.class_names import name_classes, parse_class_names, read_class_names
from tools.readings.file_name_templates import parse_template

FOUR = {f"train/{n}.png": "" for n in (1, 2, 3, 4)}


def table(folder: Path, text: str, **arguments: object) -> Sources:
    return collect(download(folder, {**FOUR, "train.csv": text}), **arguments)


def split_names(sources: Sources) -> list[str]:
    assert sources.splits is not None
    return [SPLITS[n] for n in sources.splits]


@pytest.mark.parametrize(
    ("column", "task", "options"),
    [
        (["a b", "a", "b", "a"], "multi-label", {}),
        (["a b", "a", "b", "a"], "multi-label", {"task": "multi-label"}),
        (["a b", "a", "b", "a"], "classification", {"task": "classification"}),
        (["a|b", "a", "c", "a"], "multi-label", {"label_separator": "|"}),
        (["Apple Red", "Kiwi", "Fig", "Kiwi"], "classification", {}),
        (["0 16", "3", "0", ""], "multi-label", {}),
        (["1.5", "2", "3", "4"], "classification", {}),
        (["1.5", "2", "3", "4"], "regression", {"task": "regression"}),
        (["n01 1 2 3 4", "n02 1 2 3 4 n02 5 6 7 8 ", "n01 1.5 2 3 4", "n01 0 0 1 1"], "first", {}),
    ],
)
def test_the_task_of_a_label_column(
    tmp_path: Path, column: list[str], task: str, options: dict[str, str]
) -> None:
    text = "id,label\n" + "".join(f"{n},{cell}\n" for n, cell in enumerate(column, start=1))
    sources = table(tmp_path, text, **options)
    assert sources.task == task.replace("first", "classification")
    if task == "first":
        assert sources.classes == ("n01", "n02")


def test_numbers_with_fractions_are_a_regression(tmp_path: Path) -> None:
    files = {f"{n}.png": "" for n in range(12)}
    text = "id,depth\n" + "".join(f"{n},{n / 8}\n" for n in range(12))
    sources = collect(download(tmp_path, {**files, "t.csv": text}))
    assert sources.task == "regression" and sources.target_names == ("depth",)
    assert sources.targets is not None and sources.targets[3].tolist() == [0.375]
    assert sources.classes == () and set(sources.labels.tolist()) == {-1}
    assert collect(tmp_path, task="classification").task == "classification"


def test_an_invalid_number_is_rejected_with_row_and_value(tmp_path: Path) -> None:
    text = "id,x,y\n1,1,2\n2,nan,1\n3,1,none\n4,5,6\n"
    sources = table(tmp_path, text, label_column=("x", "y"), task="regression")
    assert sources.rejected == (
        ("train.csv row 3", "column 'x' is 'nan', not a number ('2')"),
        ("train.csv row 4", "column 'y' is 'none', not a number ('3')"),
    )


def test_one_hot_columns(tmp_path: Path) -> None:
    single = "id,b,a\n1,0,1\n2,1,0\n3,0.0,1.0\n4,1,0\n"
    sources = table(tmp_path, single)
    assert sources.task == "classification" and sources.classes == ("a", "b")
    assert sorted(set(labeled(sources).values())) == ["a", "b"]
    several = single.replace("4,1,0", "4,1,1")
    sources = table(tmp_path, several)
    assert sources.task == "multi-label" and sources.classes == ("b", "a") and sources.ordered
    assert sources.targets is not None
    assert as_table(sources.targets).tolist() == [[0, 1], [1, 0], [0, 1], [1, 1]]
    sources = table(tmp_path, several, task="classification", label_column=("b", "a"))
    assert sources.rejected == (
        ("train.csv row 5", "2 of the columns 'b', 'a' are 1, not exactly one ('4')"),
    )


def test_a_number_and_its_name_are_one_label_by_name(tmp_path: Path) -> None:
    text = "id,kind,target,sex\n1,benign,0,m\n2,malignant,1,m\n3,benign,0,f\n4,benign,0,f\n"
    assert table(tmp_path, text).classes == ("benign", "malignant")
    text = text.replace("target", "other")
    with pytest.raises(MisuseError, match="--label-column kind: 4 images, 2 classes") as error:
        table(tmp_path, text)
    assert "--label-column sex" in error.value.message
    assert "--label-column other" not in error.value.message


def test_masks_as_run_lengths(tmp_path: Path) -> None:
    runs = " ".join(f"{3 * n + 1} 2" for n in range(12))
    text = f"ImageId,EncodedPixels\n1.png,{runs}\n1.png,90 2\n2.png,\n3.png,1 2 8 2\n"
    sources = table(tmp_path, text)
    assert sources.task == "segmentation" and sources.classes == ("background", "foreground")
    masks = [data for _, data in sources.masks.load(2**20)]  # type: ignore[union-attr]
    assert masks == [b"runs\0" + f"1 {runs}\n1 90 2".encode(), b"runs\0", b"runs\x001 1 2 8 2"]


def test_a_table_of_objects_is_an_error(tmp_path: Path) -> None:
    lines = [f"{n % 2 + 1},{'abc'[n % 3]}" for n in range(40)]
    with pytest.raises(DataError, match="a row for each box, object or vote"):
        table(tmp_path, "id,label\n" + "\n".join(lines))


def test_repeated_rows_are_left_out(tmp_path: Path) -> None:
    sources = table(tmp_path, "id,label\n1,a\n1,a\n1.png,a\n2,b\n3,a\n4,b\n")
    assert len(sources) == 4 and not sources.rejected
    assert "Left out 2 rows that name an image again with the same label." in sources.notes


def test_an_id_with_several_files_is_an_error_with_a_template(tmp_path: Path) -> None:
    files = {f"train/{u}_{c}.png": "" for u in ("a0-b1", "c2-d3") for c in ("blue", "red")}
    folder = download(tmp_path, {**files, "train.csv": "Id,Target\na0-b1,1\nc2-d3,2\n"})
    with pytest.raises(MisuseError, match=r'several files: .*--path-template "\{Id\}_blue.png"'):
        collect(folder)
    labels = labeled(collect(folder, path_template="{Id}_red.png"))
    assert labels == {"train/a0-b1_red.png": "1", "train/c2-d3_red.png": "2"}


def test_the_folders_of_a_template_must_match(tmp_path: Path) -> None:
    files = {"imgs/c0/1.jpg": "", "imgs/c1/2.jpg": ""}
    text = "folder,img,y\nc0,1.jpg,a\nc0,2.jpg,b\nc1,2.jpg,b\n"
    sources = collect(
        download(tmp_path, {**files, "t.csv": text}),
        path_template="{folder}/{img}",
        label_column=("y",),
    )
    assert len(sources) == 2 and sources.rejected[0][0] == "t.csv row 3"


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("{a}/{b c}.png", ("x", "y"), "x/y.png"),
        ("{a[0]}{a[-1]}/{a[:2]}/{a[1:]}", ("xyz", ""), "xz/xy/yz"),
        ("{a:05d}-{b c:>3}", ("12", "z"), "00012-  z"),
        ("{{{a}}}", ("x", ""), "{x}"),
    ],
)
def test_templates(template: str, values: tuple[str, str], text: str) -> None:
    assert parse_template(template, ("a", "b c"), option="--path-template").fill(values) == text


@pytest.mark.parametrize("template", ["{c}", "x.png", "{a", "{a.__class__}", "{a!r}", "{a:{b}}"])
def test_invalid_templates_are_errors(template: str) -> None:
    with pytest.raises(MisuseError, match="--path-template"):
        parse_template(template, ("a", "b"), option="--path-template")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("(", "unterminated"), (r"\d", "no group"), ("(a)(b)", "2 groups"), ("(zebra)", "matches no")],
)
def test_invalid_label_patterns_are_errors(tmp_path: Path, pattern: str, words: str) -> None:
    with pytest.raises(MisuseError, match=words):
        collect(download(tmp_path, FOUR), label_pattern=pattern)


def test_class_names_give_names_and_order(tmp_path: Path) -> None:
    download(tmp_path, {"names.csv": "label,name\n7,dog\n3,cat\n9,owl\n"})
    sources = table(tmp_path, "id,label\n1,3\n2,7\n3,5\n4,7\n", labels=("train.csv",))
    names = read_class_names(index_files(str(tmp_path)), "names.csv")
    named = name_classes(sources, names)
    assert named.classes == ("dog", "cat", "owl") and named.ordered
    assert labeled(named) == {"train/1.png": "cat", "train/2.png": "dog", "train/4.png": "dog"}
    assert named.rejected == (("train.csv row 4", "its label '5' is not in names.csv"),)


@pytest.mark.parametrize(
    ("file", "text", "labels", "names"),
    [
        ("a.json", '{"0": "cat", "1": "dog"}', ("0", "1"), ("cat", "dog")),
        ("a.json", '{"dog": 1, "cat": 0}', ("0", "1"), ("cat", "dog")),
        ("a.json", '["cat", "dog"]', ("cat", "dog"), ("cat", "dog")),
        ("a.txt", "n01 tench, Tinca\nn02 crane\nn03 crane\n", ("n01", "n02", "n03"), None),
        ("a.csv", "0,cat\n1,dog\n", ("0", "1"), ("cat", "dog")),
        ("a.csv", "class_id;name\n0;cat\n1;dog\n", ("0", "1"), ("cat", "dog")),
    ],
)
def test_files_of_class_names(
    file: str, text: str, labels: tuple[str, ...], names: tuple[str, ...] | None
) -> None:
    classes = parse_class_names(file, text)
    assert classes.labels == labels
    assert classes.names == (names or ("tench, Tinca", "crane (n02)", "crane (n03)"))


@pytest.mark.parametrize(
    ("file", "text"),
    [("a.json", "{"), ("a.json", '{"a": [1]}'), ("a.csv", "a,b,c\n"), ("a.txt", "\n")],
)
def test_files_without_class_names_are_errors(file: str, text: str) -> None:
    with pytest.raises(DataError, match=file.replace(".", r"\.")):
        parse_class_names(file, text)


def test_splits_by_column(tmp_path: Path) -> None:
    text = "id,label,Usage\n1,a,Training\n2,b, training \n3,a,PublicTest\n4,b,PrivateTest\n"
    assert split_names(table(tmp_path, text)) == ["train", "train", "val", "test"]
    text = "id,label,part,cv\n1,a,train,val\n2,b,val,val\n3,a,train,train\n4,b,test,train\n"
    with pytest.raises(MisuseError, match="--split-column part\n  --split-column cv"):
        table(tmp_path, text)
    assert split_names(table(tmp_path, text, split_column="part"))[3] == "test"
    with pytest.raises(MisuseError, match="Splits are called train, val or test"):
        table(tmp_path, text, split_column="label", labels=("train.csv",))


def test_a_row_of_an_unknown_split_is_rejected(tmp_path: Path) -> None:
    lines = "".join("1,a,train\n" if n % 2 else "2,b,val\n" for n in range(1200))
    sources = table(tmp_path, f"id,label,split\n{lines}3,a,holdout\n4,b,train\n")
    assert sources.rejected == (
        ("train.csv row 1202", "column 'split' is 'holdout', not a split ('3')"),
    )


def test_splits_by_the_folders_of_a_tables_files(tmp_path: Path) -> None:
    files = {f"{split}/{n}.png": "" for split in ("train", "valid") for n in "ab"}
    lines = "".join(f"{path},{path[-5]}\n" for path in files)
    sources = collect(download(tmp_path, {**files, "all.csv": f"path,label\n{lines}"}))
    assert split_names(sources) == ["train", "train", "val", "val"]


def test_groups_by_column(tmp_path: Path) -> None:
    text = "id,patient,label\n1,p,a\n2,p,b\n3,q,a\n4,,b\n"
    sources = table(tmp_path, text, group_column="patient")
    assert sources.groups is not None
    first, second, third, fourth = sources.groups.tolist()
    assert first == second and len({first, third, fourth}) == 3
