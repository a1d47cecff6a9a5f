"""torchrun, as bench-scaling starts it."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.measuring.provenance import ROOT
from benchmarks.measuring.text import counted
from benchmarks.scaling.config import ScalingBenchmark
from pipeline.errors import DataError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def torchrun(
    benchmark: ScalingBenchmark,
    ranks_per_node: int,
    *arguments: str,
    number: int = 0,
    cores: int | None = None,
    python: str = sys.executable,
    pass_fds: Sequence[int] = (),
) -> None:
    """Run a module on so many ranks of each machine, one alone without torchrun; what they print is
    shown. They end, and save first, when this process is ended, in whatever way.

    Args:
        number: of this start among several; machines that come late don't meet the one before.
        cores: that all ranks of a machine together are kept to.
        python: that has what the module needs.
        pass_fds: file descriptors that stay open until the ranks have ended.

    Raises ``DataError`` if they fail.
    """
    command = [python, *arguments]
    if ranks_per_node * benchmark.nnodes > 1:
        launcher = ("-m", "torch.distributed.run", *_meeting(benchmark, number))
        command[1:1] = [*launcher, "--nproc-per-node", str(ranks_per_node)]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        # torchrun warns where it isn't set; ranks set the threads that they want.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        # Of torchrun: it would report again what ranks have said.
        "LOGLEVEL": os.environ.get("LOGLEVEL", "CRITICAL"),
    }
    with _kept_to(cores):
        process = subprocess.Popen(
            command, env=environment, preexec_fn=_end_with_parent, pass_fds=pass_fds
        )
    try:
        failed = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if failed:
        ranks = counted(ranks_per_node, "rank")
        raise DataError(f"{ranks} failed: what was said stands above.")


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _meeting(benchmark: ScalingBenchmark, number: int) -> list[str]:
    if benchmark.nnodes == 1:
        return ["--standalone"]
    host, port = benchmark.meeting
    backend = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"{host}:{port + number}")
    return ["--nnodes", str(benchmark.nnodes), *backend]


@contextmanager
def _kept_to(cores: int | None) -> Iterator[None]:
    """Programs started meanwhile have the first `cores` of this process's cores."""
    available = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(available)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, available)
