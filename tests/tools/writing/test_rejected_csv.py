"""rejected.csv and the CSVs of a run are text in a spreadsheet and in a terminal."""

from pathlib import Path

from tools.showing.dataset_summary import group_reasons
from tools.writing.rejected import write_rejected

REJECTED = [
    ("=HYPERLINK(1).png", "it is cut off"),
    ("'-a.png", "it is cut off"),
    ("-1.5", "+ is no \x1b[31mimage"),
    ("caf\udce9.png", "it is cut off"),
]


def test_formulas_and_control_characters_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "rejected.csv"
    write_rejected(path, REJECTED)
    assert path.read_text().splitlines() == [
        "source,reason",
        "''-a.png,it is cut off",
        "-1.5,'+ is no \\x1b[31mimage",
        "'=HYPERLINK(1).png,it is cut off",
        "caf\\xe9.png,it is cut off",
    ]


def test_tools_show_undoes_the_apostrophes(tmp_path: Path) -> None:
    write_rejected(tmp_path / "rejected.csv", REJECTED)
    many, one = group_reasons(tmp_path / "rejected.csv")
    assert many.examples == ("'-a.png", "=HYPERLINK(1).png", "caf\\xe9.png")
    assert one.text == "+ is no \\x1b[31mimage"
