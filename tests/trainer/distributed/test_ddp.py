"""Two ranks make the same steps as one with every option of DDP."""

import json
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._inductor.config
from torch import nn

from tests.helpers import parallel_steps
from tests.helpers.processes import Torchrun
from trainer.config import MachineConfig
from trainer.distributed.collectives import World
from trainer.distributed.ddp import COMPILED_SHAPES, wrap_ddp


def test_two_ranks_train_like_one(tmp_path: Path, loaded: ForkServerContext) -> None:
    exit_code, output = Torchrun(loaded, 2, parallel_steps.__file__, folder=tmp_path).end()
    assert exit_code == 0, output
    errors = json.loads(output.splitlines()[-1])
    # bfloat16 keeps 8 bits of mantissa.
    assert 1e-6 < errors.pop("compressed") < 1e-2
    assert max(errors.values()) < 1e-6, errors


def test_compiles_for_each_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else torch.compile makes code for any size at the second one; a rank uses its share of the
    cores for it."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: calls.append(options))
    model: Any = nn.Linear(1, 1)
    world = World(device=torch.device("cpu"), local_world_size=10**6)
    monkeypatch.setattr(torch._inductor.config, "compile_threads", 32)  # type: ignore[attr-defined]
    monkeypatch.delenv("TORCHINDUCTOR_COMPILE_THREADS", raising=False)
    for mode in ("none", "default"):
        wrap_ddp(model, world, MachineConfig(compile=mode))  # type: ignore[arg-type]
    assert calls == [{"mode": "default", "dynamic": False}]
    assert torch._inductor.config.compile_threads == 1  # type: ignore[attr-defined]
    assert torch._dynamo.config.recompile_limit >= COMPILED_SHAPES  # type: ignore[attr-defined]
