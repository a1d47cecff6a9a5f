"""Run tools/shard on a download."""

import subprocess
import sys
from pathlib import Path

from benchmarks.measuring.provenance import ROOT
from pipeline.child_process import module_command, module_variables
from pipeline.errors import DataError


def shard_program() -> Path:
    """``tools/shard`` of a clone of the repository, or the console script of an installation."""
    script = ROOT / "tools" / "shard"
    return script if script.exists() else Path(sys.prefix, "bin", "shard")


def run_shard(src: Path, out: Path, *options: str) -> Path:
    """Write shards of `src` without a validation split to `out`, and return it. Raises
    ``DataError``."""
    command = module_command("tools.cli", "--src", str(src), "--out", str(out))
    ended = subprocess.run(
        [*command, "--val", "0", *options],
        env=module_variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise DataError(f"tools/shard failed on {src}: {ended.stderr.strip()}")
    return out
