"""SIGTERM at any time: the run saves and exits within 10 s with 128 + 15, on 1, 2 and 4 ranks."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch

import trainer.checkpoints.retention
import trainer.distributed.agreement
import trainer.stopping
import trainer.train
import trainer.validation
from pipeline.watchdog import StallWatchdog
from tests.helpers.processes import exit_codes, lines, start_ranks

STEPS, SIZE = 12, 64
SECONDS = 10


def terminate(time_file: Path) -> None:
    """Send SIGTERM to this process, and write the time to a file."""
    time_file.write_text(str(time.monotonic()))
    os.kill(os.getpid(), signal.SIGTERM)


def during_training(time_file: Path, target: int, rank: int) -> None:
    original = trainer.train.train_steps

    def steps(*arguments: Any, **settings: Any) -> Iterator[Any]:
        for number, record in enumerate(original(*arguments, **settings), start=1):
            if number == 3:
                terminate(time_file)
            yield record

    if rank == target:
        trainer.train.train_steps = steps


def during_evaluation(time_file: Path, target: int, rank: int) -> None:
    original = trainer.validation.evaluate

    def evaluate(batches: Any, *arguments: Any, **settings: Any) -> Any:
        fetched = []

        def interrupted() -> Iterator[Any]:
            for batch in batches:
                fetched.append(batch)
                if len(fetched) == 2 and rank == target:
                    terminate(time_file)
                yield batch

        evaluation = original(interrupted(), *arguments, **settings)
        # Ranks without a signal must not fetch a third batch.
        assert len(fetched) == 2
        return evaluation

    trainer.validation.evaluate = evaluate


def while_saving(time_file: Path, target: int, rank: int) -> None:
    original = trainer.checkpoints.retention.write_checkpoint

    def write(*arguments: Any) -> None:
        if not time_file.exists():
            terminate(time_file)
            time.sleep(0.5)
        original(*arguments)

    trainer.checkpoints.retention.write_checkpoint = write


def while_input_hangs(target: int, rank: int) -> None:
    """SIGTERM in the wait for a third batch that never comes."""
    original = trainer.train.train_steps
    trainer.stopping.PATIENCE_SECONDS = 0.01

    def steps(batches: Any, *arguments: Any, **settings: Any) -> Iterator[Any]:
        def hanging() -> Iterator[Any]:
            for number, batch in enumerate(batches, start=1):
                if number == 3 and rank == target:
                    os.kill(os.getpid(), signal.SIGTERM)
                    StallWatchdog(0.0, rank).wait(Future())
                yield batch

        return original(hanging(), *arguments, **settings)

    trainer.train.train_steps = steps


@pytest.mark.parametrize("ranks", [1, 2])
def test_sigterm_while_the_input_hangs(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext, ranks: int
) -> None:
    out = tmp_path / "run"
    settings = {"shards": str(digits_shards), "out": str(out), "threads": 1, "epochs": 1.0}
    settings |= {"global_batch_size": SIZE}
    prepare = partial(while_input_hangs, ranks - 1)
    codes = exit_codes(start_ranks(loaded, ranks, prepare=prepare, **settings))
    if ranks == 1:
        assert codes == [128 + signal.SIGTERM]
        saved = torch.load(out / "checkpoint.pt", weights_only=True)["progress"]["position"]
        assert saved == lines(out, "train")[-1]["position"] == 2 * SIZE
    else:
        assert codes == [1, 1] and not (out / "checkpoint.pt").exists()


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_sigterm_saves_and_exits(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext, ranks: int
) -> None:
    out = tmp_path / "run"
    settings = {"shards": str(digits_shards), "out": str(out), "threads": 1, "log_every": 1}
    settings |= {"epochs": (STEPS * SIZE - 1) / 1617, "global_batch_size": SIZE, "val_every": 0.2}
    # One rank receives the signal; while saving, the rank that writes the checkpoint.
    for moment in (during_training, during_evaluation, while_saving):
        time_file = tmp_path / moment.__name__
        prepare = partial(moment, time_file, ranks - 1)
        processes = start_ranks(loaded, ranks, prepare=prepare, **settings)
        codes = exit_codes(processes)
        assert time.monotonic() - float(time_file.read_text()) < SECONDS
        assert codes == [128 + signal.SIGTERM] * ranks
        position = torch.load(out / "checkpoint.pt", weights_only=True)["progress"]["position"]
        assert position == lines(out, "train")[-1]["position"]
        assert bool(lines(out, "evaluation")) == (moment is while_saving)
    assert exit_codes(start_ranks(loaded, ranks, **settings)) == [0] * ranks
    steps = lines(out, "train")
    assert [step["position"] for step in steps] == list(range(SIZE, STEPS * SIZE + 1, SIZE))
    assert sum(step["images"] for step in steps) == STEPS * SIZE
    assert [line["samples"] for line in lines(out, "evaluation")] == [180] * 3


def between_exchanges(time_file: Path, rank: int) -> None:
    """SIGTERM to rank 1 in step 3, where the ranks exchange after steps 1, 6, 11 and so on."""
    trainer.distributed.agreement.steps_to_next = lambda *figures: 5
    during_training(time_file, 1, rank)


def test_sigterm_between_exchanges_changes_neither_samples_nor_weights(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    settings = {"shards": str(digits_shards), "threads": 1, "log_every": 100, "val_every": 0}
    settings |= {"epochs": STEPS * SIZE / 1617, "global_batch_size": SIZE}

    def train(name: str, **more: Any) -> tuple[list[int | None], dict[str, Any]]:
        codes = exit_codes(start_ranks(loaded, 2, out=str(tmp_path / name), **settings, **more))
        return codes, torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)

    codes, saved = train("stopped", prepare=partial(between_exchanges, tmp_path / "time"))
    assert codes == [128 + signal.SIGTERM] * 2
    assert saved["progress"]["position"] == 6 * SIZE
    codes, resumed = train("stopped")
    assert codes == [0, 0]
    codes, undisturbed = train("undisturbed")
    assert codes == [0, 0]
    assert resumed["progress"]["position"] == undisturbed["progress"]["position"] == STEPS * SIZE
    assert sum(step["images"] for step in lines(tmp_path / "stopped", "train")) == STEPS * SIZE
    for name, weights in undisturbed["network"].items():
        assert weights.equal(resumed["network"][name]), name
