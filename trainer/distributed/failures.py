"""What a rank of several does after a failure: print one error for all ranks, and end at once.

Nothing is closed, for that could wait for ever: a process group of NCCL, and the memory of a GPU,
wait for operations that other ranks will never answer. Files are replaced atomically, and the
kernel releases locks and connections.
"""

import os
import sys
import time
from contextlib import suppress
from faulthandler import dump_traceback_later
from typing import Any, NoReturn

import click
import torch.distributed as dist

from pipeline.console import print_line
from pipeline.daemon_thread import DaemonThread
from pipeline.errors import DataError
from pipeline.interrupts import INTERRUPTED, INTERRUPTED_EXIT_CODE
from trainer.distributed.exit import exit_silently, leave, output_full_error, print_error

# Keys of the store that all ranks share.
_FAILURES, _EXIT_CODE = "shardline/failures", "shardline/exit_code"
_ALIVE = "shardline/alive"

# Within this time all live ranks notice that one has died.
DETECTION_SECONDS = 2.0


class Failures:
    """Ends this rank after a failure: one rank prints the error, the others exit with its code.

    Args:
        store: the store that all ranks share.
        hosts_store: whether this process hosts it.
    """

    def __init__(
        self,
        store: Any,
        *,
        rank: int,
        local_rank: int,
        world_size: int,
        timeout_seconds: float,
        hosts_store: bool,
    ) -> None:
        self._store, self._hosts_store = store, hosts_store
        self._rank, self._local_rank, self._world_size = rank, local_rank, world_size
        self._timeout_seconds = timeout_seconds

    def leave(self, error: BaseException) -> NoReturn:
        """Print `error`, unless it follows from that of another rank, and end this process."""
        if isinstance(error, KeyboardInterrupt | click.Abort):
            if self._rank == 0:
                print_line(INTERRUPTED, err=True)
            leave(INTERRUPTED_EXIT_CODE)
        try:
            failure, exit_code = self._judge(output_full_error(error) or error)
        except dist.DistNetworkError:
            # The store is lost with the node of rank 0: the first two ranks of each other node
            # report it.
            failure = self._dead_rank_error("0") if self._local_rank <= 1 else None
            exit_code = DataError.exit_code
        if failure is None:
            exit_silently(exit_code)
        if isinstance(failure, click.ClickException):
            print_error(failure)
        else:
            sys.excepthook(type(failure), failure, failure.__traceback__)
        if self._hosts_store:
            self._let_others_query()
        leave(exit_code)

    def _judge(self, error: BaseException) -> tuple[BaseException | None, int]:
        """What this rank prints, None for nothing, and its exit code."""
        if isinstance(error, click.ClickException):
            if self._store.add(_FAILURES, 1) > 1:
                return None, error.exit_code
            self._store.set(_EXIT_CODE, str(error.exit_code))
            return error, error.exit_code
        if not isinstance(error, RuntimeError):
            return error, 1
        if self._store.check([_EXIT_CODE]):
            return None, int(self._store.get(_EXIT_CODE))
        if not _is_collective_error(error):
            return error, 1
        self._store.set(f"{_ALIVE}/{self._rank}", "")
        if self._store.add(_FAILURES, 1) > 1:
            return None, DataError.exit_code
        time.sleep(DETECTION_SECONDS)
        ranks = range(self._world_size)
        dead = [rank for rank in ranks if not self._store.check([f"{_ALIVE}/{rank}"])]
        return self._dead_rank_error(", ".join(map(str, dead)) or "?"), DataError.exit_code

    def _dead_rank_error(self, ranks: str) -> DataError:
        return DataError(
            f"Rank {ranks} died or did not respond for {self._timeout_seconds:g} s "
            f"(--rank-timeout): see its output and the machine's log. Repeat the command; with "
            f"--out of its run a training resumes from its last checkpoint."
        )

    def _let_others_query(self) -> None:
        """Close the connections, on which the other ranks notice the failure and query the store,
        and keep the store a little longer."""
        # Threads of a backend could keep the interpreter's lock.
        with suppress(OSError):
            nowhere = open(os.devnull, "w")  # noqa: PTH123, SIM115
            dump_traceback_later(3 * DETECTION_SECONDS, exit=True, file=nowhere)
        # With NCCL this may never return.
        DaemonThread("destroy").submit(dist.destroy_process_group)
        time.sleep(DETECTION_SECONDS)


def _is_collective_error(error: RuntimeError) -> bool:
    """Whether a collective operation raised `error`; gloo's are plain and name its source files."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)
