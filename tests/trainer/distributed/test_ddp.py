"""DDP's options change how gradients travel, not what is learned."""

import json
from multiprocessing.context import ForkServerContext
from pathlib import Path

from tests.helpers import parallel_steps
from tests.helpers.processes import Torchrun


def test_two_ranks_learn_what_one_does(tmp_path: Path, loaded: ForkServerContext) -> None:
    exit_code, said = Torchrun(loaded, 2, parallel_steps.__file__, folder=tmp_path).end()
    assert exit_code == 0, said
    far = json.loads(said.splitlines()[-1])
    assert max(far["plain"], far["accumulated"], far["static"]) < 1e-6
    # bfloat16 keeps 8 bits of mantissa.
    assert 1e-6 < far["compressed"] < 1e-2
