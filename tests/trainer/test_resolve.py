"""What is not given follows from the data, is the same on any number of ranks, and is kept."""

import json
import math
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError, MisuseError
from tests.helpers import tiny_trainer
from tests.helpers.cli import invoke
from tests.helpers.processes import exit_codes, lines, start_ranks
from trainer.__main__ import main
from trainer.checkpoints.checkpoint_file import write_checkpoint
from trainer.config import Settings
from trainer.data import TrainingData
from trainer.resolve import RESOLVED, rate_line, resolve

SHARDS = Path(__file__).parents[1] / "data" / "earlier" / "shards"
HALF = (0.5, 0.5, 0.5)


def data_of(samples: int, *, val: int | None = None) -> TrainingData:
    facts: dict[str, Any] = {"mean": HALF, "std": HALF, "fingerprint": "", "image_size_px": 64}
    held_out: Any = None if val is None else range(val)
    return TrainingData(dataset=None, samples=samples, classes=3, val=held_out, **facts)


def resolved(samples: int, saved: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    return resolve(Settings.from_options(**values), data_of(samples), saved).to_dict()


@given(st.integers(1, 10**7), st.sampled_from(["sgd", "adamw", "lars"]))
def test_nothing_is_left_open_and_a_resumed_run_has_the_same(samples: int, optimizer: str) -> None:
    first = resolved(samples, optimizer=optimizer)
    assert all(first[name] is not None for name in RESOLVED)
    # As if a later version had other rules: those for another number of samples.
    again = resolved(3 * samples + 7, first, optimizer=optimizer)
    assert again == first


def test_given_values_win_over_saved_ones_and_these_over_defaults() -> None:
    saved = resolved(182, epochs=20.0, global_batch_size=16, learning_rate=0.3, image_size=96)
    assert (saved["val_every"], saved["warmup_epochs"]) == (2, 2)
    now = resolved(182, saved, global_batch_size=32, val_every=0.0)
    assert (now["global_batch_size"], now["epochs"], now["learning_rate"]) == (32, 20, 0.3)
    assert (now["val_every"], now["checkpoint_every"], now["image_size"]) == (0, 2, 96)
    assert resolved(182, saved, epochs=1.0)["warmup_epochs"] == 1


def test_folds_of_a_set_have_the_same_batch() -> None:
    # 255 and 256 samples would have batches of 8 and 16.
    settings = Settings.from_options(fold="1/2")
    sizes = {
        resolve(settings, data_of(train, val=511 - train)).recipe.global_batch_size
        for train in (255, 256)
    }
    assert sizes == {8}


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", "8"), ("global_batch_size", 8.5), ("image_size", [8]), ("lr_scaling", "square")],
)
def test_a_saved_value_of_another_type_is_named(name: str, value: object) -> None:
    with pytest.raises(DataError, match=f"that no run can have: {name} is "):
        resolved(182, {name: value})
    with pytest.raises(MisuseError, match="--epochs must be above 0 and at most"):
        resolved(182, {"epochs": math.inf})


@given(st.integers(1, 2**16), st.floats(1e-5, 10))
def test_adamw_is_not_scaled_unless_asked(size: int, rate: float) -> None:
    values: dict[str, Any] = {"optimizer": "adamw", "global_batch_size": size}
    plain = Settings.from_options(**values, learning_rate=rate).recipe
    scaled = Settings.from_options(**values, learning_rate=rate, lr_scaling="linear").recipe
    assert plain.peak_learning_rate == rate
    assert scaled.peak_learning_rate == pytest.approx(rate * size / 256)
    assert Settings.from_options(**values).recipe.peak_learning_rate == 0.001


def test_the_rate_line_says_what_is_scaled() -> None:
    rates = {"global_batch_size": 16, "learning_rate": 0.08}
    scaled = Settings.from_options(**rates)
    assert rate_line(scaled) == (
        "Peak learning rate 0.005: --learning-rate 0.08 times 16 / 256 (--lr-scaling linear)."
    )
    same = Settings.from_options(**rates, optimizer="adamw")
    assert rate_line(same) == "Peak learning rate 0.08 (--learning-rate; --lr-scaling none)."


def config(out: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((out / "config.json").read_text())
    return values


def test_one_and_two_ranks_choose_the_same_and_resume_with_it(
    tmp_path: Path, loaded: ForkServerContext
) -> None:
    settings = {"shards": str(SHARDS), "threads": 1, "log_every": 1, "precision": "fp32"}
    outs = [tmp_path / "one", tmp_path / "two"]
    for ranks, out in enumerate(outs, start=1):
        run = start_ranks(loaded, ranks, out=str(out), epochs=1.0, **settings)
        assert exit_codes(run) == [0] * ranks
    one, two = map(config, outs)
    assert {name: one[name] for name in RESOLVED} == {name: two[name] for name in RESOLVED}
    assert (one["global_batch_size"], one["warmup_epochs"], one["image_size"]) == (8, 0.1, 32)
    # Two ranks go on with what one rank has chosen.
    assert exit_codes(start_ranks(loaded, 2, out=str(outs[0]), epochs=2.0, **settings)) == [0, 0]
    assert (config(outs[0])["epochs"], config(outs[0])["warmup_epochs"]) == (2, 0.1)
    assert lines(outs[0], "train")[-1]["position"] == 48


def trained(out: Path, *words: object) -> tuple[int, str]:
    """Exit code and output of the trainer on 24 images; wrapped lines are joined."""
    options = ("--model", tiny_trainer.MODEL, "--shards", SHARDS, "--out", out, "--threads", 1)
    result = invoke(main, *options, "--precision", "fp32", "--log-every", 1, *words)
    return result.exit_code, " ".join(result.output.split())


def test_a_run_without_the_field_resumes_with_a_scaled_rate(tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--optimizer", "adamw", "--learning-rate", "0.064", "--lr-scaling", "linear")
    code, output = trained(out, *options, "--epochs", 1)
    assert code == 0, output
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    for name in ("lr_scaling", "checkpoint_every", "image_size"):
        del state["config"][name]
    state["config"] |= {"warmup_epochs": None, "global_batch_size": 4}
    write_checkpoint(out / "checkpoint.pt", state)
    code, output = trained(out, *options[:4], "--epochs", 3)
    assert code == 0, output
    assert "Peak learning rate 0.001: --learning-rate 0.064 times 4 / 256" in output
    assert "Changed since the checkpoint: epochs 1.0 -> 3.0." in output
    assert output.count("Changed since") == 1
    assert max(line["learning_rate"] for line in lines(out, "train")[3:]) <= 0.001
    assert config(out)["lr_scaling"] == "linear"


def test_the_startup_message_has_the_choices_with_their_options(tmp_path: Path) -> None:
    code, output = trained(tmp_path / "run", "--max-minutes", "0.005")
    assert code == 0, output
    chosen = "Chosen for 24 training samples: --global-batch-size 8, --val-every 33, "
    chosen += "--checkpoint-every 33, --image-size 32; each of these options chooses another value."
    assert chosen in output
    code, output = trained(tmp_path / "other", "--epochs", "2", "--val-every", "0")
    assert code == 0, output
    assert "--global-batch-size 8, --warmup-epochs 0.2, --checkpoint-every 1, --image" in output


def test_the_last_step_of_an_epoch_count(tmp_path: Path) -> None:
    code, output = trained(tmp_path / "run", "--epochs", "2", "--global-batch-size", "32")
    assert code == 0, output
    warning = "--global-batch-size 32 is more than the 24 training samples: --epochs 2 are 2 steps"
    assert f"{warning}, which are 2.67 epochs." in output
    assert "32 px, 2 epochs, global batch size 32." in output
    assert "epoch 1.33/2.00" in output and "epoch 2.00 validation" in output
    # docs/order.md: the step that reaches position ceil(E N) is the last.
    assert lines(tmp_path / "run", "train")[-1]["position"] == 64


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--global-batch-size", "1024", "--epochs", "0.5"),
            "--global-batch-size 1024 is more than the 12 samples of --epochs 0.5 (24 training "
            "samples): lower it to 12 or less, or raise --epochs.",
        ),
        (("--recipe", "fast16"), "--global-batch-size 1024 is more than the 384 samples of"),
        (("--max-minutes", "1", "--epochs", "2"), "--epochs and --max-minutes exclude each other"),
        (("--synthetic",), "--synthetic and --shards exclude each other: omit one."),
        (("--shuffle-window", "2"), "--shuffle-window has an effect with --shuffle window only"),
        (
            ("--sample-weights", "inverse-frequency", "--shuffle", "off"),
            "--shuffle has an effect with --sample-weights none only: give that, or omit",
        ),
        (("--erase-area", "0.1", "0.2"), "--erase-area has an effect with --erase-probability"),
        (("--progressive-epochs", "3"), "has an effect with --progressive-resize only"),
        (
            ("--rand-augment-magnitude", "3", "--auto-augment", "trivial"),
            "--rand-augment-magnitude has an effect with --auto-augment rand only",
        ),
        (
            ("--device", "cpu", "--gpu-batches", "views"),
            "--gpu-batches has an effect with --device auto or cuda only",
        ),
    ],
)
def test_what_means_nothing_is_refused_by_name(
    tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    code, output = trained(tmp_path / "run", *words)
    assert code == 2 and sentence in output, output
    assert not (tmp_path / "run").exists()


def test_a_deadline_replaces_the_epochs_of_a_recipe(tmp_path: Path) -> None:
    words = ("--recipe", "standard90", "--global-batch-size", "32", "--max-minutes", "0.005")
    code, output = trained(tmp_path / "run", *words)
    assert code == 0, output
    assert "32 is more than the 24 training samples: each step has some of them twice." in output
