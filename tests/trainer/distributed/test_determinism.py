"""``--deterministic`` sets torch's options and names unsupported operations."""

import os

import pytest
import torch

from pipeline.errors import MisuseError
from trainer.distributed.determinism import deterministic


def test_sets_and_resets_the_options_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with deterministic(False):
        assert not torch.are_deterministic_algorithms_enabled()
    with deterministic(True):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic


def test_names_an_operation_without_a_deterministic_algorithm() -> None:
    indices = torch.tensor([0, 0])
    message = r"no deterministic algorithm for put_.* another --model"
    with pytest.raises(MisuseError, match=message), deterministic(True):
        torch.zeros(4).put_(indices, torch.ones(2))
    with pytest.raises(RuntimeError, match="size"), deterministic(True):
        torch.zeros(4) @ torch.zeros(5)
