"""Options of the commands that have no effect beside others are refused before anything runs."""

import click
import pytest

from benchmarks.loader.__main__ import main as bench_loader
from pipeline.errors import MisuseError
from tests.helpers.cli import invoke
from tools.cli import main as shard
from trainer.__main__ import main as train
from trainer.predict import main as predict

COMMANDS = {"train": train, "shard": shard, "predict": predict, "bench-loader": bench_loader}
SHARD = ("--src", "nowhere", "--out", "there")


@pytest.mark.parametrize(
    ("command", "words", "sentence"),
    [
        (
            "shard",
            (*SHARD, "--encode", "png", "--quality", "80"),
            "--quality has an effect with --encode auto or keep or jpeg only",
        ),
        ("shard", (*SHARD, "--encode", "jpeg", "--verify", "header"), "--verify has an effect"),
        (
            "shard",
            (*SHARD, "--mask-colors", "a.csv", "--mask-threshold", "9"),
            "--mask-threshold and --mask-colors exclude each other",
        ),
        (
            "predict",
            ("run", "--format", "npz", "--threshold", "0.3"),
            "--threshold has an effect with --format auto or submission or labels only",
        ),
        ("predict", ("run", "--format", "labels", "--missing", "keep"), "--missing has an effect"),
        (
            "predict",
            ("run", "--src", "photos", "--positive-class", "cat"),
            "--positive-class and --src exclude each other",
        ),
        ("bench-loader", ("--profile-out", "a.json"), "--profile-out has an effect with --tune"),
        ("bench-loader", ("--doctor", "--runs", "9"), "--runs and --doctor exclude each other"),
        (
            "bench-loader",
            ("--sweep", "cache", "--cache", "host"),
            "--sweep cache and --cache exclude each other: omit one.",
        ),
    ],
)
def test_is_refused_by_name(command: str, words: tuple[str, ...], sentence: str) -> None:
    result = invoke(COMMANDS[command], *words)
    assert result.exit_code == 2
    assert sentence in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("shard", (*SHARD, "--encode", "keep", "--quality", "80", "--longest-side", "500")),
        ("shard", (*SHARD, "--encode", "png", "--verify", "header")),
        ("shard", (*SHARD, "--uncertain", "0", "--blank", "1")),
        ("predict", ("run", "--threshold", "0.3", "--missing", "keep")),
        ("bench-loader", ("--tune", "--profile-out", "a.json", "--runs", "2")),
        ("train", ("--shuffle", "window", "--shuffle-window", "2", "--max-minutes", "3")),
        ("train", ("--recipe", "fast16", "--max-minutes", "3", "--progressive-epochs", "3")),
    ],
)
def test_has_an_effect(command: str, words: tuple[str, ...]) -> None:
    COMMANDS[command].make_context(command, list(words))


@pytest.mark.parametrize("name", COMMANDS)
def test_conditions_name_options_and_their_values(name: str) -> None:
    """A misspelt flag would be taken for one that the command lacks."""
    flags = {option.opts[0]: option for c in COMMANDS.values() for option in c.params}
    for option in COMMANDS[name].params:
        for condition in (*getattr(option, "only_with", ()), *getattr(option, "not_with", ())):
            flag, _, values = condition.partition(" ")
            assert flag in flags, condition
            if values:
                kind = flags[flag].type
                assert isinstance(kind, click.Choice)
                assert set(values.split("|")) < set(kind.choices), condition


def test_a_context_is_refused_as_well() -> None:
    with pytest.raises(MisuseError, match="--epochs and --max-minutes exclude each other"):
        train.make_context("trainer", ["--epochs", "2", "--max-minutes", "3"])
