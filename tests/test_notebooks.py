"""The notebooks run from top to bottom, and are committed as they ran."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


async def executed(path: Path, folder: Path) -> Any:
    """The notebook after a training of a few steps, and short measurements."""
    environment = os.environ | {
        "SHARDLINE_NOTEBOOK_FOLDER": str(folder),
        "SHARDLINE_NOTEBOOK_EPOCHS": "0.3",
        "BENCH_RUNS": "1",
        "BENCH_WARMUP": "0",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    notebook = nbformat.read(path, as_version=4)
    metadata = {"metadata": {"path": str(path.parent)}}
    client = nbclient.NotebookClient(notebook, timeout=300, resources=metadata)
    return await client.async_execute(env=environment)


async def all_executed(folders: list[Path]) -> list[Any]:
    return await asyncio.gather(*map(executed, NOTEBOOKS, folders))


@pytest.mark.filterwarnings("ignore")  # of Jupyter about itself
def test_notebooks_run(tmp_path: Path) -> None:
    """Side by side, since each waits for its commands; nothing is written beside them."""
    before = sorted(NOTEBOOKS[0].parent.iterdir())
    folders = [tmp_path / path.stem for path in NOTEBOOKS]
    notebooks = asyncio.run(all_executed(folders))
    assert sorted(NOTEBOOKS[0].parent.iterdir()) == before
    for notebook, folder in zip(notebooks, folders, strict=True):
        # Each picture that a reader is shown came out.
        shown = [output for cell in code_cells(notebook) for output in cell.outputs]
        pictures = [output for output in shown if "image/png" in output.get("data", {})]
        assert len(pictures) >= 2
        assert (folder / "runs" / "first" / "checkpoint.pt").exists()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_as_it_ran(path: Path) -> None:
    cells = code_cells(nbformat.read(path, as_version=4))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert "error" not in kinds and kinds & {"display_data", "execute_result"}
    assert str(path.parents[1]) not in path.read_text()
