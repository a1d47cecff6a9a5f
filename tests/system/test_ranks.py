"""Several gloo ranks under torchrun: the same samples and metrics as one rank, one error."""

import json
import os
import re
import shutil
import signal
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch

from tests.helpers import rank_watcher, tiny_trainer
from tests.helpers.damage import damage, random_samples
from tests.helpers.processes import Torchrun, lines

SMALL = ["--model", tiny_trainer.MODEL, "--global-batch-size", "48", "--log-every", "1"]
SMALL += ["--threads", "1"]
TRAINER = tiny_trainer.__file__


def test_three_ranks_see_the_same_samples_as_one(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    # The last steps straddle the end of the first epoch.
    begin = 1600 - 48 * 2
    one_rank = rank_watcher.record_ranks(
        str(digits_shards), global_batch_size=48, position=begin, steps=4
    )
    out = tmp_path / "view.json"
    words = (rank_watcher.__file__, digits_shards, out, 48, begin + 48, 3)
    exit_code, output = Torchrun(loaded, 3, *words, folder=tmp_path).end()
    assert exit_code == 0, output
    three_ranks = json.loads(out.read_text())
    assert three_ranks["world_size"] == 3
    assert three_ranks["end"] == one_rank["end"] == begin + 48 * 4
    assert three_ranks["steps"] == one_rank["steps"][1:]
    assert three_ranks["evaluation"] == one_rank["evaluation"]
    assert three_ranks["evaluation"]["samples"] == 180


def test_lists_bad_samples_once_and_too_many_end_all_ranks(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    shards = Path(shutil.copytree(digits_shards, tmp_path / "shards"))
    bad = random_samples(shards, "train", 0.05)
    damage(shards, "train", bad)
    words = (TRAINER, "--shards", shards, *SMALL, "--epochs", "0.5", "--out", "run")
    exit_code, output = Torchrun(loaded, 2, *words, "--max-bad", "0.1", folder=tmp_path).end()
    assert exit_code == 0, output
    listed = (tmp_path / "run" / "bad_samples.csv").read_text().splitlines()[1:]
    count = lines(tmp_path / "run", "train")[-1]["bad_samples"]
    assert len(set(listed)) == len(listed) == count > 0
    (tmp_path / "stopped").mkdir()
    exit_code, output = Torchrun(loaded, 2, *words, folder=tmp_path / "stopped").end()
    assert exit_code == 1
    assert len(re.findall(r"Error: \d+ bad samples are more than --max-bad allows", output)) == 1
    assert "gloo" not in output and "Connection closed" not in output


def training(loaded: ForkServerContext, shards: Path, folder: Path) -> Torchrun:
    """Two ranks that have logged their first steps to the directory "run"."""
    words = (TRAINER, "--shards", shards, *SMALL, "--out", "run")
    started, metrics = Torchrun(loaded, 2, *words, folder=folder), folder / "run" / "metrics.jsonl"
    while started.process.is_alive() and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.02)
    return started


def test_a_shard_truncated_during_a_run_ends_all_ranks_with_its_name(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    shards = Path(shutil.copytree(digits_shards, tmp_path / "shards"))
    started = training(loaded, shards, tmp_path)
    os.truncate(shards / "train-000000.tar", 2**15)
    exit_code, output = started.end()
    assert exit_code == 1
    message = r"Error: .*sample \d{9} of .*train-000000\.tar is cut off after \d+ of \d+ bytes"
    assert len(re.findall(message, output)) == 1, output
    assert "gloo" not in output and "SIGBUS" not in output


def test_sigterm_to_torchrun_saves_once(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    started, run = training(loaded, digits_shards, tmp_path), tmp_path / "run"
    assert started.process.pid is not None
    os.kill(started.process.pid, signal.SIGTERM)
    _, output = started.end()
    assert output.count("Stopped by SIGTERM") == 1, output
    position = torch.load(run / "checkpoint.pt", weights_only=True)["progress"]["position"]
    assert position == lines(run, "train")[-1]["position"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shards", "nowhere"], "Error: nowhere holds no complete shards"),
        (["--synthetic", "--global-batch-size", "7"], "Error: --global-batch-size 7 can't be"),
        pytest.param(["--epochs", "0"], "Error: --epochs must be above 0", marks=pytest.mark.long),
    ],
)
def test_one_rank_reports_the_error_in_the_last_line(
    tmp_path: Path, loaded: ForkServerContext, arguments: list[str], message: str
) -> None:
    words = (TRAINER, *arguments, "--out", "run")
    exit_code, output = Torchrun(loaded, 2, *words, folder=tmp_path).end()
    assert exit_code != 0
    assert output.count(message) == 1
    # After it there is only the rule of torchrun's own report.
    *_, last, rule = [line.strip() for line in output.splitlines() if line.strip()]
    assert last.startswith(message.removeprefix("Error: ")) and set(rule) == {"="}
    assert "exitcode  : " + ("1" if "nowhere" in arguments else "2") in output
    assert not (tmp_path / "run").exists()
