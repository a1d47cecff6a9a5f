"""The notebooks run from top to bottom, and are committed as they ran."""

from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.filterwarnings("ignore")  # of Jupyter about itself
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a training of a few steps; nothing is written beside it."""
    monkeypatch.setenv("SHARDLINE_NOTEBOOK_FOLDER", str(tmp_path))
    monkeypatch.setenv("SHARDLINE_NOTEBOOK_EPOCHS", "0.3")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    before = sorted(path.parent.iterdir())
    notebook = nbformat.read(path, as_version=4)
    metadata = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=metadata).execute()
    assert sorted(path.parent.iterdir()) == before
    # Each picture that a reader is shown came out.
    shown = [output for cell in code_cells(notebook) for output in cell.outputs]
    pictures = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(pictures) >= 2
    assert (tmp_path / "runs" / "first" / "checkpoint.pt").exists()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_as_it_ran(path: Path) -> None:
    cells = code_cells(nbformat.read(path, as_version=4))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert "error" not in kinds and kinds & {"display_data", "execute_result"}
    assert str(path.parents[1]) not in path.read_text()
