"""Encodings, lines above the header and delimiters of tables; whatever was written is read."""

import io
import tracemalloc
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from tests.helpers.tables import csv_text, open_bytes, rows_of, table_of
from tools.download.tables import open_table
from tools.download.text_encoding import TextEncoding

# The signs of cp1252, and of everything.
WESTERN = st.characters(codec="cp1252", exclude_categories=("Cc",))
ANY = st.characters(exclude_categories=("Cc", "Cs", "Co"))
LETTERS = st.text("abcé", min_size=1, max_size=5)


@given(
    rows=st.lists(st.tuples(LETTERS, st.text(ANY, max_size=6), LETTERS), min_size=1, max_size=20),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_cells_come_back(
    rows: list[tuple[str, ...]], encoding: str, delimiter: str, end: str
) -> None:
    text = "sep=" + delimiter + end + csv_text([("a", "b", "c"), *rows], delimiter, end)
    table = table_of(text.encode(encoding))
    assert table.columns == ("a", "b", "c") and table.delimiter == delimiter
    assert rows_of(table) == [[cell.strip() for cell in row] for row in rows]
    assert table.row_count == len(rows) and not table.notes


@given(st.lists(st.tuples(LETTERS, st.text(WESTERN, max_size=6)), min_size=1, max_size=20))
def test_cells_of_the_windows_code_page_come_back(rows: list[tuple[str, ...]]) -> None:
    # A word of ASCII in each row, as in Western texts.
    data = csv_text([("a", "b"), *[(f"{a} word", b) for a, b in rows]], ";").encode("cp1252")
    try:
        table = table_of(data)
    except DataError as error:
        assert "looks like" in error.message
        return
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("cp1252")
        if not table.notes[0].startswith("labels.csv is not UTF-8: it is read in code page 1252"):
            # Most of its bytes are valid UTF-8.
            assert "is UTF-8 but for some bytes" in table.notes[0]
            return
    assert rows_of(table) == rows_of(table_of(text))


def test_bytes_without_a_meaning_in_cp1252() -> None:
    assert rows_of(table_of(b"id,name\n1,caf\xe9 \x81x\n")) == [["1", "café \x81x"]]


class Slow(io.BytesIO):
    """Gives few bytes at a time, as a network does."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, 7) if size and size > 0 else size)


@pytest.mark.parametrize("late", ["é".encode(), b"\xe9"])
def test_an_encoding_that_shows_late(late: bytes) -> None:
    data = b"id,name\n" + b"1,plain\n" * 200_000 + b"2,caf" + late + b"\n" + b"3,plain\n" * 9
    table = table_of(data)
    assert not table.notes
    assert [cells for _, cells in table.rows()][200_000] == ["2", "café"]
    assert bool(table.notes) == (late == b"\xe9") and table.row_count == 200_010
    slow = TextEncoding("labels.csv", b"id", whole=False)
    with slow.open(lambda: Slow(data[-90:])) as stream:
        assert "2,café".encode() in stream.read()


@pytest.mark.parametrize("cut", range(1, 4))
def test_a_character_that_is_cut_by_the_first_block(cut: int) -> None:
    start = b"id,name\n".ljust(2**20 - 2 - cut, b"x") + b"\n1"
    data = start + "😀,é\n".encode() * 9
    assert not table_of(data).notes
    with table_of(data).open() as stream:
        assert stream.read() == data


def test_utf_8_with_damage_is_read_and_said() -> None:
    table = table_of("id,name\n1,Grün\n2,Öl\n".encode() + b"3,Wei\xdf\n")
    assert rows_of(table)[2] == ["3", "Wei\\xdf"]
    assert table.notes == (
        "labels.csv is UTF-8 but for some bytes (first: 0xdf in line 4): they are read as \\xdf "
        "and the like.",
    )


@pytest.mark.parametrize(
    ("label", "encoding", "name"),
    [
        ("合格品 划痕 污渍 样品", "gbk", "GBK"),
        ("さくら カメラ 写真 りんご", "shift_jis", "Shift-JIS"),
        ("사과 바나나 고양이", "euc_kr", "EUC-KR"),
        ("кошка собака Лошадь", "cp1251", "Cyrillic"),
    ],
)
def test_other_code_pages_are_refused_with_the_way_to_convert_them(
    label: str, encoding: str, name: str
) -> None:
    lines = "".join(f"{n}.jpg,{word}\n" for n, word in enumerate(label.split()))
    with pytest.raises(
        DataError, match=rf"labels\.csv is not UTF-8; it looks like .*{name}.*iconv"
    ):
        table_of(f"id,label\n{lines}".encode(encoding))


def test_text_that_is_cut_within_utf_16() -> None:
    with pytest.raises(DataError, match=r"labels\.csv begins as UTF-16 and goes on otherwise"):
        table_of("id,label\n1,a\n".encode("utf-16")[:-1])


def test_a_large_table_takes_little_memory() -> None:
    line = f"1;Grün;{'x' * 200}\n".encode("utf-16-le") * 100

    class Endless(io.RawIOBase):
        """UTF-16 lines: 40 MB."""

        left = 1000

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            data = b"\xff\xfe" if self.left == 1000 else line[: len(buffer)] if self.left else b""
            self.left -= 1 if self.left else 0
            buffer[: len(data)] = data
            return len(data)

    def stream() -> IO[bytes]:
        return io.BufferedReader(Endless(), len(line))

    tracemalloc.start()
    try:
        table = open_table("labels.csv", stream, is_header=lambda first, second: False)
        assert table is not None
        assert sum(1 for _ in table.rows()) == 999 * 100
        assert tracemalloc.get_traced_memory()[1] < 12e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "columns", "first"),
    [
        ("# made by me\n\n# twice, at least\nid,label\n1,a\n", ("id", "label"), (5, ["1", "a"])),
        ('"sep=;"\r\n# x\r\nid;label\r\n1;a,b\r\n', ("id", "label"), (4, ["1", "a,b"])),
        ("sep=\\t\nid\tlabel\n\n1\ta\n", ("id", "label"), (4, ["1", "a"])),
        ("#id,label\n1,a\n2,b\n", ("id", "label"), (2, ["1", "a"])),
        ("#,id,label\n0,1,a\n", ("Unnamed: 0", "id", "label"), (2, ["0", "1", "a"])),
        ('id,note\n1,"two\nlines"\n2,x\n', ("id", "note"), (3, ["1", "two\nlines"])),
        ("id,label\n#1,a\n", ("id", "label"), (2, ["#1", "a"])),
        (" id  , a name \n 1 ,  b \n", ("id", "a name"), (2, ["1", "b"])),
        ("id,label,label,,\n1,a,b,,\n", ("id", "label", "label.1", "Unnamed: 3", "Unnamed: 4"),
         (2, ["1", "a", "b", "", ""])),
        ("image,label\n1,a.jpg,x\n2,b.jpg,y\n", ("Unnamed: 0", "image", "label"),
         (2, ["1", "a.jpg", "x"])),
    ],
)  # fmt: skip
def test_headers(text: str, columns: tuple[str, ...], first: tuple[int, list[str]]) -> None:
    table = table_of(text)
    assert table.columns == columns and next(table.rows()) == first
    assert table.head[0] == tuple(first[1])
    with table.open() as stream:
        lines = stream.read().decode().replace("\r\n", "\n").split("\n")
    rest = "\n".join(lines[table.header_lines :])
    assert rows_of(table_of(rest, header=False)) == rows_of(table)


def test_comments_name_the_columns_of_data() -> None:
    table = table_of("# 2 rows\n# image label\na.jpg 1\nb.jpg 2\n", "l.txt", header=False)
    assert table.header and table.columns == ("image", "label") and len(table.head) == 2


def test_rows_that_all_begin_with_the_sign_of_comments() -> None:
    table = table_of("#ff0000,red\n#00ff00,green\n", header=False)
    assert table.head == (("#ff0000", "red"), ("#00ff00", "green"))


def test_runs_of_blanks_part_the_cells_of_a_text() -> None:
    table = table_of("  a.jpg    3  \nb c.jpg 4 \n\n d.jpg   5\n", "l.txt", header=False)
    assert table.delimiter == " "
    assert list(table.rows())[::2] == [(1, ["a.jpg", "3"]), (4, ["d.jpg", "5"])]


@pytest.mark.parametrize(
    ("lines", "delimiter"),
    [
        (["a.jpg;80,25", "b.jpg;3,5"], ";"),
        (["1,5;a.jpg", "2,5;b.jpg"], ";"),
        (["a.jpg;cat,dog", "b.jpg;dog,cat"], ";"),
        (["a.jpg,cat;dog", "b.jpg,dog;cat"], ","),
        (["a.jpg\t1,5\t2,5", "b.jpg\t1\t2,5"], "\t"),
        (["1,2,3", "4,5,6"], ","),
    ],
)
def test_delimiters_beside_other_signs(lines: list[str], delimiter: str) -> None:
    assert table_of("\n".join(lines), header=False).delimiter == delimiter


def test_a_quote_that_is_never_closed_loses_no_rows_in_silence() -> None:
    table = table_of("id,label\n" + "1,a\n" * 2000 + '2,"5 inch\n' + "3,b\n" * 2000)
    with pytest.raises(DataError, match=r"begins with '5 inch.*' in line 2002 ends in line 4002"):
        list(table.rows())
    with pytest.raises(DataError, match="Close its quote"):
        _ = table.row_count
    assert rows_of(table_of('id,label\n1,"a"'))[0] == ["1", "a"]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b" , \n,,\n"])
def test_tables_without_rows(data: bytes) -> None:
    assert open_bytes(data) is None
