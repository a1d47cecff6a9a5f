"""The figures that code draws."""

from typing import Any

import pytest
from matplotlib.figure import Figure


def saved_figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved from now on."""
    figures: list[Figure] = []
    save = Figure.savefig

    def record(figure: Figure, *arguments: Any, **named: Any) -> None:
        save(figure, *arguments, **named)
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", record)
    return figures
