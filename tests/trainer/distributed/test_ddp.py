"""Two ranks make the same steps as one with every option of DDP."""

import json
from multiprocessing.context import ForkServerContext
from pathlib import Path

from tests.helpers import parallel_steps
from tests.helpers.processes import Torchrun


def test_two_ranks_train_like_one(tmp_path: Path, loaded: ForkServerContext) -> None:
    exit_code, output = Torchrun(loaded, 2, parallel_steps.__file__, folder=tmp_path).end()
    assert exit_code == 0, output
    errors = json.loads(output.splitlines()[-1])
    # bfloat16 keeps 8 bits of mantissa.
    assert 1e-6 < errors.pop("compressed") < 1e-2
    assert max(errors.values()) < 1e-6, errors
