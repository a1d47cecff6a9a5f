"""Runs of a step on a few images of each task, and ``trainer.export`` in this process."""

import json
from pathlib import Path
from typing import Any

from tests.helpers.cli import invoke
from tests.helpers.tiny_trainer import train_in
from trainer.export import main

TASKS: dict[str, dict[str, Any]] = {
    "classification": {"classes": ("cat", "dog", "unicorn")},
    "multi-label": {"classes": ("red", "blue")},
    "regression": {"classes": (), "targets": ("age", "height")},
    "segmentation": {"classes": ("ground", "road", "roof")},
}


def trained(folder: Path, task: str, model: str, **settings: Any) -> Path:
    """A run of one step, once."""
    run = folder / task / model.replace("/", "_")
    if not run.exists():
        train_in(folder / task, run.name, model=model, precision="fp32", **settings)
    return run


def exported(*arguments: object) -> dict[str, Any]:
    result = invoke(main, *arguments)
    assert result.exit_code == 0, result.output
    facts: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    return facts


def failure(code: int, *arguments: object) -> str:
    result = invoke(main, *arguments)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    return " ".join(result.output.split())
