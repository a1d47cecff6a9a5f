"""A rank that fails ends the job with one sentence, whatever the process group still waits for."""

import time
from collections.abc import Iterator
from functools import partial
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import torch

import trainer.checkpoints.retention
import trainer.train
from pipeline.errors import DataError
from tests.helpers.processes import exit_codes, kill, lines, print_to, start_ranks
from tests.helpers.silent_backend import use_silent_backend

SIZE = 64
# Far more than a few steps take on a busy machine.
HANGS_SECONDS = 120.0


def prepare(folder: Path, backend: str, error: Exception | None, rank: int) -> None:
    """Use a backend; after 4 steps rank 1 raises `error` while rank 0 writes a checkpoint."""
    print_to(folder / f"output-{rank}.txt")
    if backend == "silent":
        use_silent_backend(folder / f"shutdowns-{rank}", folder / "failed")
    write, steps = trainer.checkpoints.retention.write_checkpoint, trainer.train.train_steps

    def write_slowly(*arguments: Any) -> None:
        (folder / "writing").touch()
        time.sleep(1.0)
        write(*arguments)

    def failing_steps(*arguments: Any, **settings: Any) -> Iterator[Any]:
        for number, record in enumerate(steps(*arguments, **settings), start=1):
            if number == 4 and rank == 1 and error is not None:
                while not (folder / "writing").exists():
                    time.sleep(0.01)
                (folder / "failed").touch()
                raise error
            yield record

    trainer.checkpoints.retention.write_checkpoint = write_slowly
    trainer.train.train_steps = failing_steps


def start(
    loaded: ForkServerContext, shards: Path, folder: Path, backend: str, error: Exception | None
) -> list[ForkServerProcess]:
    settings = {"shards": str(shards), "out": str(folder / "run"), "threads": 1, "val_every": 0}
    # A checkpoint is due after 3 steps.
    settings |= {"global_batch_size": SIZE, "epochs": 0.3, "checkpoint_every": 3 * SIZE / 1617}
    return start_ranks(loaded, 2, prepare=partial(prepare, folder, backend, error), **settings)


def ended(processes: list[ForkServerProcess]) -> list[int | None]:
    """Their exit codes; a failure if one is there after `HANGS_SECONDS`."""
    deadline = time.monotonic() + HANGS_SECONDS
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    if any(process.is_alive() for process in processes):
        kill([process for process in processes if process.is_alive()])
        pytest.fail("A rank hangs.")
    return exit_codes(processes)


@pytest.mark.parametrize("backend", [pytest.param("gloo", marks=pytest.mark.long), "silent"])
@pytest.mark.parametrize(
    ("error", "last_line"),
    [
        (DataError("The disk is gone."), "Error: The disk is gone."),
        pytest.param(TypeError("a mistake"), "TypeError: a mistake", marks=pytest.mark.long),
    ],
)
def test_a_failing_rank_ends_the_job(
    digits_shards: Path,
    tmp_path: Path,
    loaded: ForkServerContext,
    backend: str,
    error: Exception,
    last_line: str,
) -> None:
    assert ended(start(loaded, digits_shards, tmp_path, backend, error)) == [1, 1]
    outputs = [(tmp_path / f"output-{rank}.txt").read_text() for rank in (0, 1)]
    assert outputs[1].splitlines()[-1].endswith(last_line)
    if isinstance(error, DataError):
        assert "Error" not in outputs[0] and "Traceback" not in "".join(outputs)
    else:
        assert "Error: Rank 1 died" in outputs[0] and "Traceback" not in outputs[0]
    # Rank 0 has finished the checkpoint that it was writing.
    saved = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert (
        saved["progress"]["position"]
        == 3 * SIZE
        == lines(tmp_path / "run", "train")[-1]["position"]
    )
    assert not any(path.suffix == ".partial" for path in (tmp_path / "run").iterdir())
    assert not (tmp_path / "shutdowns-1").exists()


def test_the_process_group_is_destroyed_after_a_success(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    assert ended(start(loaded, digits_shards, tmp_path, "silent", None)) == [0, 0]
    for rank in (0, 1):
        assert (tmp_path / f"shutdowns-{rank}").read_text() == "shutdown\n"
