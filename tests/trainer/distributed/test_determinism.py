"""``--deterministic``: torch is told, and what it can't do is said."""

import os

import pytest
import torch

from pipeline.errors import MisuseError
from trainer.distributed.determinism import deterministic


def test_torch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with deterministic(False):
        assert not torch.are_deterministic_algorithms_enabled()
    with deterministic(True):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic


def test_what_torch_has_no_algorithm_for_is_named() -> None:
    indices = torch.tensor([0, 0])
    sentence = r"no such algorithm for put_.* another --model"
    with pytest.raises(MisuseError, match=sentence), deterministic(True):
        torch.zeros(4).put_(indices, torch.ones(2))
    with pytest.raises(RuntimeError, match="size"), deterministic(True):
        torch.zeros(4) @ torch.zeros(5)
