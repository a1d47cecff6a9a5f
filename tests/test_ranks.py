"""Several gloo ranks under torchrun: the same samples, the same counts, one voice."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny_trainer
import torch
from processes import lines
from rank_watcher import watch
from test_bad_samples import damage, some

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
SMALL = ["--model", tiny_trainer.MODEL, "--global-batch-size", "48", "--log-every", "1"]
TRAINER = tiny_trainer.__file__
WATCHER = Path(__file__).with_name("rank_watcher.py")


def torchrun(ranks: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TORCHRUN, str(ranks), *arguments], capture_output=True, text=True)


def test_three_ranks_see_what_one_sees(digits_shards: Path, tmp_path: Path) -> None:
    # The last steps straddle the end of the first epoch.
    begin = 1600 - 48 * 2
    alone = watch(str(digits_shards), global_batch_size=48, position=begin, steps=4)
    out = tmp_path / "view.json"
    result = torchrun(3, str(WATCHER), str(digits_shards), str(out), "48", str(begin + 48), "3")
    assert result.returncode == 0, result.stderr
    together = json.loads(out.read_text())
    assert together["world_size"] == 3
    assert together["end"] == alone["end"] == begin + 48 * 4
    assert together["steps"] == alone["steps"][1:]
    assert together["evaluation"] == alone["evaluation"]
    assert together["evaluation"][0] == 180


def test_bad_samples_are_named_once_and_too_many_end_all_ranks(
    digits_shards: Path, tmp_path: Path
) -> None:
    shards = Path(shutil.copytree(digits_shards, tmp_path / "shards"))
    bad = some(shards, "train", 0.05)
    damage(shards, "train", bad)
    command = [TRAINER, "--shards", str(shards), *SMALL, "--epochs", "0.5"]
    went_on = torchrun(2, *command, "--out", str(tmp_path / "on"), "--max-bad", "0.1")
    assert went_on.returncode == 0, went_on.stderr
    named = (tmp_path / "on" / "bad_samples.csv").read_text().splitlines()[1:]
    assert len(set(named)) == len(named) == lines(tmp_path / "on", "train")[-1]["bad_samples"] > 0
    stopped = torchrun(2, *command, "--out", str(tmp_path / "stopped"))
    assert stopped.returncode == 1
    assert (
        len(re.findall(r"Error: \d+ bad samples are more than --max-bad allows", stopped.stderr))
        == 1
    )
    assert "gloo" not in stopped.stderr and "Connection closed" not in stopped.stderr


@contextmanager
def training(shards: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    """Two ranks that have made their first steps."""
    command = [*TORCHRUN, "2", TRAINER, "--shards", str(shards), *SMALL, "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        metrics = out / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
            time.sleep(0.05)
        yield process
    finally:
        process.kill()


def test_a_shard_cut_off_in_a_run_ends_all_ranks_with_its_name(
    digits_shards: Path, tmp_path: Path
) -> None:
    shards = Path(shutil.copytree(digits_shards, tmp_path / "shards"))
    with training(shards, tmp_path / "run") as process:
        os.truncate(shards / "train-000000.tar", 2**15)
        _, errors = process.communicate()
    assert process.returncode == 1
    said = r"Error: .*sample \d{9} of .*train-000000\.tar is cut off after \d+ of \d+ bytes"
    assert len(re.findall(said, errors)) == 1, errors
    assert "gloo" not in errors and "SIGBUS" not in errors


def test_sigterm_to_torchrun_saves_once(digits_shards: Path, tmp_path: Path) -> None:
    with training(digits_shards, tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate()
    assert output.count("Stopped by SIGTERM") == 1, errors
    position = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["progress"]["position"]
    assert position == lines(tmp_path, "train")[-1]["position"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shards", "nowhere"], "Error: nowhere holds no complete shards"),
        (["--epochs", "0"], "Error: --epochs must be positive"),
    ],
)
def test_one_rank_speaks_for_all(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = torchrun(2, "-m", "trainer", *arguments, "--out", str(tmp_path / "run"))
    assert result.returncode != 0
    assert result.stderr.count(message) == 1
    assert "exitcode  : " + ("1" if "nowhere" in arguments else "2") in result.stderr
    # The only traceback is torchrun's own.
    assert result.stderr.count("Traceback") == 1
    assert not (tmp_path / "run").exists()
