"""Start the ranks of bench-scaling with torchrun."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial

from benchmarks.scaling.config import LadderConfig
from pipeline.child_process import module_variables
from pipeline.errors import DataError
from pipeline.text import plural

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def torchrun(
    config: LadderConfig,
    ranks_per_node: int,
    *arguments: str,
    number: int = 0,
    cores: int | None = None,
    python: str = sys.executable,
    pass_fds: Sequence[int] = (),
) -> None:
    """Run `python` with `arguments` on so many ranks of each machine, without torchrun for a single
    rank. The ranks print to this terminal; they save and end when this process ends.

    Args:
        number: of this start; a machine that is late then does not join the previous one.
        cores: number of cores for all ranks of a machine together; None for all cores.
        python: interpreter with the packages that the module needs.
        pass_fds: file descriptors that stay open until the ranks have ended.

    Raises ``DataError`` if they fail.
    """
    command = [python, "-P", *arguments]
    if ranks_per_node * config.nnodes > 1:
        launcher = ("-m", "torch.distributed.run", *_rendezvous_options(config, number))
        command[2:2] = [*launcher, "--nproc-per-node", str(ranks_per_node)]
    environment = module_variables(
        # torchrun warns if it is not set; each rank sets its own number of threads.
        OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1"),
        # torchrun's own log would repeat the errors of the ranks.
        LOGLEVEL=os.environ.get("LOGLEVEL", "CRITICAL"),
    )
    process = subprocess.Popen(
        command, env=environment, preexec_fn=partial(_prepare, cores), pass_fds=pass_fds
    )
    try:
        failed = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if failed:
        raise DataError(f"{plural(ranks_per_node, 'rank')} failed: see the messages above.")


def _prepare(cores: int | None) -> None:
    """Runs in the new process, which keeps the first `cores` cores and ends with its parent."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _rendezvous_options(config: LadderConfig, number: int) -> list[str]:
    if config.nnodes == 1:
        return ["--standalone"]
    host, port = config.rendezvous
    backend = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"{host}:{port + number}")
    return ["--nnodes", str(config.nnodes), *backend]
