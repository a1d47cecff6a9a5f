"""Short training runs on the digits in this process."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import trainer.train
from trainer.config import Settings
from trainer.loop import StepRecord
from trainer.train import run

GLOBAL_BATCH_SIZE = 64
STEPS = 6


def train(shards: Path, out: Path, *, steps: float = STEPS, **settings: Any) -> dict[str, Any]:
    """Train for `steps` steps on the digits; return the content of the checkpoint."""
    samples = json.loads((shards / "dataset.json").read_text())["splits"]["train"]
    epochs = steps * GLOBAL_BATCH_SIZE / sum(samples["class_counts"])
    fast = {"model": "resnet8", "precision": "fp32", "log_every": 2, "show_batch": 0}
    run(
        Settings.from_options(
            **fast | settings,
            out=str(out),
            epochs=epochs,
            global_batch_size=GLOBAL_BATCH_SIZE,
            shards=str(shards),
            crop_area=(0.8, 1.0),
            flip_probability=0,
        )
    )
    return saved(out)


def saved(out: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(out / "checkpoint.pt", weights_only=True)
    return state


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Raise SIGTERM after `steps` steps."""
    original = trainer.train.train_steps

    def interrupted(*arguments: Any, **settings: Any) -> Iterator[StepRecord]:
        for number, record in enumerate(original(*arguments, **settings), start=1):
            if number == steps:
                signal.raise_signal(signal.SIGTERM)
            yield record

    monkeypatch.setattr(trainer.train, "train_steps", interrupted)
