"""``python -m trainer.predict``: the same file on any number of ranks, each format, wrong use."""

import itertools
import json
import os
import signal
from functools import partial
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from click.testing import CliRunner

from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import sources_name
from tests.helpers.partly_labeled import CLASSES, TESTS, write_partly_labeled
from tests.helpers.processes import Torchrun, pin
from tests.helpers.tiny_trainer import train_in
from trainer import predict
from trainer.predict import main
from trainer.prediction import predict_runs

TASKS = ("classification", "multi-label", "regression", "segmentation")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """<task>/shards and <task>/run of each task; the test split has samples without labels."""
    folder = tmp_path_factory.mktemp("predict")
    for task in TASKS:
        (folder / task).mkdir()
        write_partly_labeled(folder / task / "shards", task)
        model = "tiny_pixelwise" if task == "segmentation" else "tiny"
        train_in(folder / task, "run", model=model, precision="fp32")
    return folder


def run_predict(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def rows_of(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text().splitlines()]


def predict_on_one_core(arguments: list[str]) -> None:
    pin(0)
    main(arguments, standalone_mode=False)


@pytest.mark.parametrize("task", TASKS)
def test_the_same_file_on_one_two_and_three_ranks(
    task: str, folder: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    # In a batch of 16 all test samples are in the share of one rank.
    words = [str(folder / task / "run"), "--batch-size", "16" if task == "regression" else "3"]
    words += ["--format", {"segmentation": "rle", "regression": "labels"}.get(task, "npz")]
    one = tmp_path / "one"
    process = loaded.Process(target=predict_on_one_core, args=([*words, "--out", str(one)],))
    process.start()
    process.join()
    assert process.exitcode == 0
    for ranks in (2, 3):
        out = tmp_path / f"on_{ranks}"
        torchrun = Torchrun(loaded, ranks, predict.__file__, *words, "--out", out, folder=tmp_path)
        exit_code, output = torchrun.end()
        assert exit_code == 0, output
        assert json.loads(output.splitlines()[-1])["samples"] == TESTS
        assert out.read_bytes() == one.read_bytes()


def predict_until_killed(arguments: list[str], batches: int) -> None:
    """Kill this process after that many batches, or with 0 before the finished file is renamed."""
    kill = partial(os.kill, os.getpid(), signal.SIGKILL)
    original = predict_runs.predict_outputs

    def predicted(*positional: Any, **named: Any) -> Any:
        left = itertools.count(batches - 1, -1)
        named["advance"] = lambda count: kill() if next(left) == 0 else None
        return original(*positional, **named)

    predict_runs.predict_outputs = predicted
    if not batches:
        Path.replace = lambda path, target: kill()  # type: ignore[method-assign, assignment, return-value]
    main(arguments, standalone_mode=False)


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_a_killed_prediction_can_be_repeated(
    batches: int, folder: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    words = [str(folder / "classification" / "run"), "--batch-size", "3", "--format", "npz"]
    words += ["--out", str(tmp_path / "out.npz")]
    process = loaded.Process(target=predict_until_killed, args=(words, batches))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "out.npz").exists()
    run_predict(*words)
    again = tmp_path / "again.npz"
    run_predict(*words[:-1], again)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["again.npz", "out.npz"]
    assert again.read_bytes() == (tmp_path / "out.npz").read_bytes()


def test_labels_are_those_of_the_highest_probability(folder: Path, tmp_path: Path) -> None:
    run = folder / "classification" / "run"
    for name in ("labels", "probabilities", "npz"):
        run_predict(run, "--format", name, "--out", tmp_path / name)
    header, *rows = rows_of(tmp_path / "probabilities")
    assert header == ["id", *CLASSES]
    values = np.array([row[1:] for row in rows], np.float64)
    np.testing.assert_allclose(values.sum(1), 1, atol=1e-5)
    labels = rows_of(tmp_path / "labels")
    best = [[row[0], CLASSES[k]] for row, k in zip(rows, values.argmax(1), strict=True)]
    assert labels == [["id", "label"], *best]
    shards = folder / "classification" / "shards"
    ids = parquet.read_table(shards / sources_name("test"))["id"].to_pylist()
    assert [row[0] for row in rows] == sorted(ids, key=int)
    with np.load(tmp_path / "npz") as arrays:
        assert arrays["ids"].tolist() == [row[0] for row in rows]
        softmax = torch.from_numpy(arrays["logits"]).double().softmax(1).numpy()
    np.testing.assert_allclose(softmax, values, atol=1e-6)


def test_several_runs_are_averaged(folder: Path, tmp_path: Path) -> None:
    own = folder / "classification"
    train_in(own, "other", seed=1, precision="fp32")
    tables = {}
    for name, runs in {
        "first": [own / "run"],
        "second": ["--run", own / "other"],
        "both": [own / "run", own / ".." / own.name / "run", "--run", own / "other"],
        "logits": [own / "run", own / "other"],
    }.items():
        form = "npz" if name == "logits" else "probabilities"
        run_predict(*runs, "--format", form, "--out", tmp_path / name)
        if name != "logits":
            tables[name] = np.array([row[1:] for row in rows_of(tmp_path / name)[1:]], np.float64)
    np.testing.assert_allclose(tables["both"], (tables["first"] + tables["second"]) / 2, atol=1e-6)
    with np.load(tmp_path / "logits") as arrays:
        softmax = torch.from_numpy(arrays["logits"]).double().softmax(1).numpy()
    np.testing.assert_allclose(softmax, tables["both"], atol=1e-6)


def test_a_mask_has_the_size_of_its_image(folder: Path, tmp_path: Path) -> None:
    own = folder / "segmentation"
    run_predict(own / "run", "--out", tmp_path / "masks")
    index = Dataset(own / "shards").split("test")
    ids = parquet.read_table(own / "shards" / sources_name("test"))["id"].to_pylist()
    assert sorted(path.stem for path in (tmp_path / "masks").iterdir()) == sorted(ids)
    for row, name in zip(index.samples, ids, strict=True):
        mask = cv2.imread(str(tmp_path / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert mask.shape == (row["height"], row["width"])
        assert mask.max() < len(CLASSES)


def test_takes_the_best_checkpoint_or_the_named_one(folder: Path, tmp_path: Path) -> None:
    run = folder / "classification" / "run"
    for name, expected in ((None, "best.pt"), ("checkpoint.pt", "checkpoint.pt")):
        words = [] if name is None else ["--checkpoint", name]
        output = run_predict(run, "--out", tmp_path / "out.csv", *words)
        record = json.loads(output.splitlines()[-1])
        assert record["checkpoints"] == [str(run / expected)]
        assert str(run / expected) in output.splitlines()[0]
    output = run_predict("--checkpoint", run / "best.pt", "--out", tmp_path / "out.csv")
    assert json.loads(output.splitlines()[-1])["runs"] == [str(run)]


def test_wrong_use_is_explained(folder: Path, tmp_path: Path) -> None:
    run, ages = folder / "classification" / "run", folder / "regression" / "run"
    for arguments, code, words in (
        ((run, ages), 1, "was trained for"),
        ((run, "--format", "submission"), 2, "no sample submission"),
        ((run, "--format", "masks"), 2, "--format masks does not fit classification"),
        ((run, "--threshold", "0.3"), 2, "--threshold is for multi-label"),
        ((run, "--positive-class", "cow"), 2, "the classes are cat, dog, unicorn"),
        ((run, "--src", tmp_path, "--format", "submission"), 2, "exclude each other"),
        ((ages, "--positive-class", "age"), 2, "--positive-class needs classes"),
        ((run, "--shards", folder / "multi-label" / "shards"), 1, "give --shards with the same"),
        ((run, run.parent, "--checkpoint", run / "best.pt"), 2, "is one file, but 2 runs"),
        ((run, "--out", "/dev/null/x.csv"), 1, "Cannot write /dev/null/x.csv"),
        ((run, "--out", "/dev/null"), 2, "is no regular file"),
    ):
        assert words in run_predict(*arguments, code=code)


def test_a_damaged_sample_is_named(folder: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    write_partly_labeled(shards)
    index = Dataset(shards).split("test")
    row = index.samples[3]
    with (shards / index.split.shards[row["shard"]].name).open("r+b") as file:
        file.seek(int(row["offset"]) + 20)
        file.write(b"damage")
    run = folder / "classification" / "run"
    output = run_predict(run, "--shards", shards, "--out", tmp_path / "out.csv", code=1)
    assert index.describe(3) in output
    assert not (tmp_path / "out.csv").exists()
