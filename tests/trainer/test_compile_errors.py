"""What torch can't compile gives a sentence with ``--compile``, and stays an error without it."""

import re
from typing import Any

import pytest
import torch

from pipeline.errors import DataError
from trainer.compile_errors import explained_compilation
from trainer.config import Settings


def branches(values: torch.Tensor) -> torch.Tensor:
    """Nothing that can be one graph: what is computed depends on the values."""
    return values + 1 if values.sum() > 0 else values - 1


def settings_of(mode: str) -> Settings:
    return Settings.from_options(model="resnet18", compile=mode)


def compile_and_call() -> Any:
    return torch.compile(branches, fullgraph=True, backend="eager")(torch.ones(2))


def test_a_model_that_cannot_be_compiled() -> None:
    sentence = (
        r"--compile default: torch can't compile resnet18 \(\w+: \S.*\): give --compile none\."
    )
    with pytest.raises(DataError) as caught, explained_compilation(settings_of("default")):
        compile_and_call()
    assert re.fullmatch(sentence, caught.value.message)


def test_other_errors_are_not_taken_for_it() -> None:
    with pytest.raises(RuntimeError, match="shape"), explained_compilation(settings_of("default")):
        torch.ones(2) @ torch.ones(3, 3)
    with pytest.raises(torch._dynamo.exc.Unsupported), explained_compilation(settings_of("none")):
        compile_and_call()
