"""A contact sheet: nothing is drawn over a picture, and names keep their letters where there is
room."""

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from pipeline.contact_sheet import ContactSheet, Tile, write_contact_sheet
from pipeline.mask_colors import color_mask, mask_legend
from tests.helpers.drawn_figures import saved_figures

NAMES = (
    "Pneumonia_bacterial_of_the_left_upper_lobe",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
    "Трансформаторная подстанция, повреждённая",
    "Ακτινογραφία θώρακος χωρίς παθολογικά ευρήματα",
    "cat",
    "صورة أشعة سينية للصدر بدون أي نتائج مرضية",
)


def drawn(sheet: ContactSheet, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Figure:
    """Write the sheet; its figure."""
    figures = saved_figures(monkeypatch)
    write_contact_sheet(sheet, folder / "sheet.png")
    return figures[0]


def tile(number: int, *caption: str) -> Tile:
    image = np.random.default_rng(number).integers(0, 256, (8, 6 + number % 5, 3), np.uint8)
    return Tile(image=image, caption=caption)


def boxes(figure: Figure) -> tuple[list[Bbox], list[Bbox]]:
    """Of texts and of pictures, in pixels."""
    (axes,) = figure.axes
    texts = [text.get_window_extent() for text in axes.texts if text.get_text()]
    return texts, [image.get_window_extent() for image in axes.images]


def shown(figure: Figure) -> str:
    """All texts without their line breaks and spaces."""
    return "".join("".join(text.get_text().split()) for text in figure.axes[0].texts)


@pytest.mark.parametrize("columns", [4, 8, 12])
def test_no_text_lies_on_a_picture_or_on_another(
    columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = [tile(n, NAMES[n % len(NAMES)], f"folder/{n}.png") for n in range(2 * columns)]
    names = {n: (NAMES[n], "12,345 train, 1,234 val, 123 test") for n in range(2)}
    sheet = ContactSheet(
        title=100 * "title ",
        subtitle=90 * "subtitle ",
        tiles=[*tiles[:-2], None, Tile(image=None)],
        columns=columns,
        names=names if columns == 12 else {},
        legend=NAMES,
    )
    figure = drawn(sheet, tmp_path, monkeypatch)
    texts, pictures = boxes(figure)
    damaged = 1  # says so on its own place
    on_pictures = [pair for pair in product(texts, pictures) if Bbox.intersection(*pair)]
    assert sum(pair[0].height > 0 for pair in on_pictures if _overlap(*pair) > 1) == damaged
    assert max(_overlap(*pair) for pair in combinations(texts, 2)) <= 1
    assert all(box.x0 >= 0 and box.x1 <= 1860 for box in texts)


def _overlap(one: Bbox, other: Bbox) -> float:
    """Pixels that two boxes share: the shorter side of their intersection."""
    common = Bbox.intersection(one, other)
    return 0.0 if common is None else min(common.width, common.height)


def test_names_of_40_letters_keep_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = [tile(n, name) for n, name in enumerate(NAMES)]
    sheet = ContactSheet(title="a", subtitle="b", tiles=tiles, columns=8, legend=NAMES[:3])
    letters = shown(drawn(sheet, tmp_path, monkeypatch))
    assert all("".join(name.split()) in letters for name in NAMES if "W" not in name)
    names = {n: (name, "12 train") for n, name in enumerate((NAMES[0], *NAMES[2:]))}
    sheet = ContactSheet(
        title="a", subtitle="b", tiles=[tile(n) for n in range(60)], columns=12, names=names
    )
    letters = shown(drawn(sheet, tmp_path, monkeypatch))
    assert all("".join(name.split()) in letters for name, _ in names.values())


def test_the_same_sheet_gives_the_same_bytes(tmp_path: Path) -> None:
    sheet = ContactSheet(title="a", subtitle="b", tiles=[tile(0, "cat")], columns=4)
    for name in ("a.png", "b.png"):
        write_contact_sheet(sheet, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(OSError, match=r"nowhere"):
        write_contact_sheet(sheet, tmp_path / "nowhere" / "a.png")


def test_masks_are_half_color_half_image() -> None:
    image = np.full((1, 4, 3), 100, np.uint8)
    mask = np.array([[0, 1, 8, 255]], np.uint8)
    colored = color_mask(image, mask)
    # Class 8 has the color of class 1: there are seven.
    blue = [(100 + value) // 2 for value in (0x00, 0x72, 0xB2)]
    assert colored.tolist() == [[[100] * 3, blue, blue, [100] * 3]]
    assert image.max() == 100 and colored.dtype == np.uint8
    assert mask_legend(("ground", "road")) == ["road"]
    names = tuple(f"class {n}" for n in range(20))
    assert mask_legend(names)[-1] == "and 8 more" and len(mask_legend(names)) == 12
