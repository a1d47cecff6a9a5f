"""What the startup message says of precision and compilation."""

from types import SimpleNamespace
from typing import Any

import torch

from pipeline.config import PipelineConfig
from trainer.config import MachineConfig
from trainer.messages import machine_lines


def run_of(*, compile: str, resize: tuple[int, int] | None) -> Any:
    settings = SimpleNamespace(
        machine=MachineConfig(compile=compile),  # type: ignore[arg-type]
        pipeline=PipelineConfig(progressive_resize=resize, progressive_epochs=4),
    )
    return SimpleNamespace(
        settings=settings, dtype=None, world=SimpleNamespace(device=torch.device("cpu"))
    )


def test_says_how_often_the_model_is_compiled() -> None:
    assert machine_lines(run_of(compile="default", resize=(128, 224))) == [
        "--compile default compiles the model at the first step of each image size: 128, 160, 192, "
        "224 px."
    ]


def test_says_nothing_of_one_size_or_no_compilation() -> None:
    assert machine_lines(run_of(compile="default", resize=None)) == []
    assert machine_lines(run_of(compile="none", resize=(128, 224))) == []
