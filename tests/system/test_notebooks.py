"""The notebooks run from top to bottom, and are committed as they ran."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.amounts import LONG

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


async def executed(path: Path, folder: Path) -> Any:
    """The notebook after trainings of a few steps, and short measurements."""
    environment = os.environ | {
        "SHARDLINE_NOTEBOOK_FOLDER": str(folder),
        "SHARDLINE_NOTEBOOK_QUICK": "1",
        "BENCH_RUNS": "1",
        "BENCH_WARMUP": "0",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    notebook = nbformat.read(path, as_version=4)
    metadata = {"metadata": {"path": str(path.parent)}}
    client = nbclient.NotebookClient(notebook, timeout=300, resources=metadata)
    return await client.async_execute(env=environment)


async def all_executed(paths: list[Path], folders: list[Path]) -> list[Any]:
    return await asyncio.gather(*map(executed, paths, folders))


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # of Jupyter about itself
def test_notebooks_run(tmp_path: Path) -> None:
    """Side by side, since each waits for its commands; nothing is written beside them. The
    experiment takes a minute, and runs in make test-long."""
    paths = [path for path in NOTEBOOKS if LONG or path.stem != "experiment"]
    before = sorted(NOTEBOOKS[0].parent.iterdir())
    folders = [tmp_path / path.stem for path in paths]
    notebooks = asyncio.run(all_executed(paths, folders))
    assert sorted(NOTEBOOKS[0].parent.iterdir()) == before
    for notebook, folder in zip(notebooks, folders, strict=True):
        # Each picture that a reader is shown came out, and no warning.
        shown = outputs(notebook)
        pictures = [output for output in shown if "image/png" in output.get("data", {})]
        assert len(pictures) >= {"experiment": 8, "own_data": 2}[folder.name]
        assert not [output for output in shown if output.get("name") == "stderr"]
        assert (folder / "runs" / "first" / "checkpoint.pt").exists()
    if LONG:
        study = tmp_path / "experiment" / "study"
        assert (study / "report" / "report.html").exists()
        said = [output.get("data", {}).get("text/markdown", "") for output in outputs(notebooks[0])]
        assert "**What would one more node give?** " in "".join(said)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_as_it_ran(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for output in outputs(notebook)}
    assert "error" not in kinds and kinds & {"display_data", "execute_result"}
    # No path of the machine that it ran on.
    text = path.read_text()
    paths = (str(path.parents[1]), f"{Path.home()}/", "/tmp/", "/home/")
    assert not [name for name in paths if len(name) > 1 and name in text]
