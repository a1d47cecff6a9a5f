"""Files that are something else than their names say are called what they are."""

import io
import zipfile

import cv2
import numpy as np
import pytest

from pipeline.errors import DataError
from tests.helpers.tables import open_bytes, table_of
from tools.download.strangers import describe_stranger

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
HTML = b'\n<!DOCTYPE html>\n<html lang="en"><body>id,label</body></html>'
PNG = cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes()


def office() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("l.csv", HTML, "an HTML page, not a table: download the file again while logged in"),
        ("l.json", HTML, "an HTML page, not a table"),
        ("l.xlsx", HTML, "an HTML page, not a workbook"),
        ("1.jpg", HTML, "an HTML page, not an image: download the file again while logged in"),
        ("l.csv", LFS, "a Git LFS pointer, not a table: run git lfs pull"),
        ("1.jpg", LFS, "a Git LFS pointer, not an image: run git lfs pull"),
        (
            "l.csv",
            b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>',
            "an XML error document, not a table: download the file again",
        ),
        ("l.csv", b'{"code":403,"message":"Permission denied"}', "a JSON error message, not a"),
        ("l.csv", b"PK\x03\x04\x14\0\0\0", "a zip, not a table: unzip it"),
        ("l.csv", office(), "an Office document, not a table: export it as CSV"),
        ("l.csv", b"\x1f\x8b\x08\0", "a gzip file, not a table: unpack it"),
        ("l.csv", b"PAR1\x15\x04", "a parquet file, not a table: give it the extension .parquet"),
        ("l.csv", b"%PDF-1.4\n", "a PDF, not a table"),
        ("l.csv", PNG, "a binary file, not a table"),
        ("l.csv", bytes(50), "nothing but zero bytes, not a table"),
        ("l.csv", "id,label\n1,a\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        ("l.xls", b"\xd0\xcf\x11\xe0" + bytes(600), "an old Excel workbook: save it as CSV"),
        ("l.ods", b"PK\x03\x04" + bytes(30), "an OpenDocument spreadsheet: save it as CSV"),
        ("l.xlsx", b"\xd0\xcf\x11\xe0", "an old or encrypted Office document, not a workbook"),
        ("l.xlsx", b"id,label\n", "no Excel workbook: save it as CSV"),
    ],
)
def test_strangers(name: str, data: bytes, words: str) -> None:
    said = describe_stranger(name, data)
    assert said is not None and words in said
    if not name.endswith(".jpg"):
        with pytest.raises(DataError) as error:
            table_of(data, name)
        assert error.value.message == f"{name} is {said}."


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("l.csv", b"id,page\n1,<html><body>x</body></html>\n"),
        ("l.csv", b"id,label\n1,\0\n" + b"2,a\n" * 200),
        ("l.csv", "id,label\n1,a\n".encode("utf-16")),
        ("l.csv", b""),
        ("l.xlsx", office()),
        ("1.png", PNG),
        ("1.jpg", b"\xff\xd8\xff\xe1 <html>"),
        ("l.json", b'{"message": "cat", "a": "b"}'),
    ],
)
def test_tables_and_images_are_none(name: str, data: bytes) -> None:
    assert describe_stranger(name, data) is None


def test_a_text_of_any_extension_is_a_table() -> None:
    assert open_bytes(b"a b\nc d\n", "notes.txt") is not None
