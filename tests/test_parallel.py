"""DDP's options change how gradients travel, not what is learnt."""

import json
import os
import subprocess
import sys
from pathlib import Path


def test_two_ranks_learn_what_one_does() -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    root = Path(__file__).parents[1]
    ended = subprocess.run(
        [*command, "--nproc_per_node", "2", str(root / "tests" / "parallel_steps.py")],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    far = json.loads(ended.stdout)
    assert max(far["plain"], far["accumulated"], far["static"]) < 1e-6
    # bfloat16 keeps 8 bits of mantissa.
    assert 1e-6 < far["compressed"] < 1e-2
