"""docs/kaggle.md: its commands lead from a download to a submission, for each task."""

import csv
import re
import shutil
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.competitions import COLORS, SIDE_PX, write_competition
from tests.helpers.page_commands import be, write_weights
from tests.helpers.pages import ROOT, commands

PAGE = (ROOT / "docs" / "kaggle.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
# Section -> (section whose folder it continues, what its commands write last).
CONTINUED = {
    "Folds and ensembles": ("Classification", "submission.csv"),
    "Other images": ("Classification", "photos.csv"),
}
TASKS = {
    "Classification": "classification",
    "Multi-label": "multi-label",
    "Regression": "regression",
    "Segmentation": "segmentation",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each task with the download in kaggle/."""
    folder = tmp_path_factory.mktemp("kaggle")
    for task in TASKS.values():
        write_competition(folder / task / "kaggle", task)
        (folder / task / "tools").symlink_to(ROOT / "tools")
        write_weights(folder / task)
    return folder


def follow(section: str, folder: Path, loaded: ForkServerContext) -> Path:
    """Run the commands of a section, with shorter trainings; the last file that they write."""
    first, written = CONTINUED.get(section, (section, "submission.csv"))
    place = folder / TASKS[first]
    (place / written).unlink(missing_ok=True)
    for command in commands(SECTIONS[section]):
        output = place / "output"
        output.unlink(missing_ok=True)
        words = re.sub("--epochs [0-9]+", "--epochs 1", command)
        process = loaded.Process(target=be, args=(words, place, output))
        process.start()
        process.join()
        assert process.exitcode == 0, f"{command}\n{output.read_text()}"
        if command.startswith("tools/shard"):
            # The shards have all that is needed afterwards.
            (place / "kaggle").rename(place / "deleted")
    return place / written


def table(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def asked(folder: Path, section: str) -> tuple[list[str], list[str]]:
    """Header and ids of the sample submission."""
    header, rows = table(folder / TASKS[section] / "deleted" / "sample_submission.csv")
    return header, [row[0] for row in rows]


@pytest.mark.parametrize("section", TASKS)
def test_a_download_becomes_a_submission(
    section: str, folder: Path, loaded: ForkServerContext
) -> None:
    header, rows = table(follow(section, folder, loaded))
    assert (header, [row[0] for row in rows]) == asked(folder, section)
    cells = [row[1] for row in rows]
    if section == "Classification":
        assert {*cells} <= {*COLORS}
    elif section == "Multi-label":
        assert {tag for cell in cells for tag in cell.split()} <= {*COLORS}
    elif section == "Regression":
        assert np.isfinite([float(cell) for cell in cells]).all()
    else:
        runs = [np.array(cell.split(), np.int64).reshape(-1, 2) for cell in cells]
        assert all(run.sum(axis=1).max(initial=0) <= SIDE_PX * (SIDE_PX + 8) + 1 for run in runs)


def test_folds_and_other_images_follow(folder: Path, loaded: ForkServerContext) -> None:
    header, rows = table(follow("Folds and ensembles", folder, loaded))
    assert (header, [row[0] for row in rows]) == asked(folder, "Classification")
    place = folder / "classification"
    shutil.copytree(place / "deleted" / "test", place / "photos")
    header, rows = table(follow("Other images", folder, loaded))
    assert header == ["id", "label"]
    assert [row[0] for row in rows] == sorted(path.stem for path in (place / "photos").iterdir())
