"""Names in confusion.png keep their letters where there is room."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.drawn_figures import saved_figures
from trainer.evaluation.confusion import Confusion, draw_confusion


@pytest.mark.parametrize(
    "stem", ["Pneumonia_bacterial_of_the_upper_lobe", "Ясень обыкновенный, лист"]
)
@pytest.mark.parametrize("count", [2, 12, 41])
def test_names_of_40_letters_are_whole(
    stem: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = saved_figures(monkeypatch)
    names = tuple(f"{stem}_{number:02d}" for number in range(count))
    counts = np.random.default_rng(0).integers(1, 9, (count, count))
    draw_confusion(Confusion(classes=names, counts=counts), tmp_path / "confusion.png")
    axes = figures[0].axes[0]
    labels = [
        label.get_text().replace("\n", "").replace(" ", "") for label in axes.get_yticklabels()
    ]
    if count > 40:
        pairs = [tuple(label.split("→")) for label in labels]
        assert len(pairs) == 25 and {name for pair in pairs for name in pair} <= {
            name.replace(" ", "") for name in names
        }
    else:
        assert labels == [name.replace(" ", "") for name in names]
    # The squares or bars get most of the picture's rest.
    box, canvas = axes.get_window_extent(), figures[0].bbox
    assert box.width > 0.3 * canvas.width and box.height > 0.3 * canvas.height
    title = axes.title.get_window_extent()
    assert title.x1 <= canvas.width
