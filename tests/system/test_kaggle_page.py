"""docs/kaggle.md: its commands lead from a download to a submission, for each task."""

import csv
import re
import shutil
from multiprocessing.context import ForkServerContext
from pathlib import Path

import cv2
import pytest

from tests.helpers.cli import invoke
from tests.helpers.competitions import COLORS, write_competition
from tests.helpers.page_commands import be, write_weights
from tests.helpers.pages import ROOT, commands
from trainer.predict import main as predict
from trainer.prediction.run_lengths import run_lengths

PAGE = (ROOT / "docs" / "kaggle.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
# Parts of make test-long, for their seconds.
OF_SECONDS = ("Multi-label", "Regression")
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
        words = re.sub("--global-batch-size [0-9]+", "--global-batch-size 16", words)
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


def predicted(folder: Path, section: str, form: str) -> Path:
    """The predictions of the section's run in another format."""
    out = folder / TASKS[section] / form
    run = folder / TASKS[section] / "runs" / "first"
    shards = folder / TASKS[section] / "shards"
    threshold = ("--threshold", 0.3) if section == "Multi-label" else ()
    arguments = ("--shards", shards, "--format", form, *threshold)
    result = invoke(predict, run, *arguments, "--out", out)
    assert result.exit_code == 0, result.output
    return out


@pytest.mark.parametrize(
    "section",
    [pytest.param(name, marks=pytest.mark.long if name in OF_SECONDS else ()) for name in TASKS],
)
def test_a_download_becomes_a_submission(
    section: str, folder: Path, loaded: ForkServerContext
) -> None:
    """Its rows are those of the sample submission, with the predictions of their images."""
    header, rows = table(follow(section, folder, loaded))
    assert (header, [row[0] for row in rows]) == asked(folder, section)
    cells = {row[0].removesuffix(".png"): row[1] for row in rows}
    if section == "Segmentation":
        masks = predicted(folder, section, "masks")
        for name, cell in cells.items():
            mask = cv2.imread(str(masks / f"{name}.png"), cv2.IMREAD_UNCHANGED)
            assert mask is not None
            assert cell == run_lengths(mask == 1)
        return
    _, labels = table(predicted(folder, section, "labels"))
    assert cells == {row[0].removesuffix(".png"): row[1] for row in labels}
    if section != "Regression":
        assert {tag for cell in cells.values() for tag in cell.split()} <= {*COLORS}


def test_folds_and_other_images_follow(folder: Path, loaded: ForkServerContext) -> None:
    header, rows = table(follow("Folds and ensembles", folder, loaded))
    assert (header, [row[0] for row in rows]) == asked(folder, "Classification")
    place = folder / "classification"
    shutil.copytree(place / "deleted" / "test", place / "photos")
    header, rows = table(follow("Other images", folder, loaded))
    assert header == ["id", "label"]
    assert [row[0] for row in rows] == sorted(path.stem for path in (place / "photos").iterdir())
