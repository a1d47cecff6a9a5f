"""Names of options in other programs: the same meaning is taken, another one is answered."""

import re

import click
import pytest

from benchmarks.compute.__main__ import main as bench_compute
from benchmarks.loader.__main__ import main as bench_loader
from pipeline.errors import MisuseError
from pipeline.other_meanings import OTHER_MEANING
from pipeline.other_names import OTHER_VALUES, SAME_MEANING, OtherNames
from pipeline.typed_words import plain_words
from tools.checking.cli import main as check
from tools.cli import main as shard
from trainer.__main__ import main as trainer
from trainer.evaluate import main as evaluate
from trainer.plot import main as plot
from trainer.predict import main as predict

COMMANDS = (trainer, shard, evaluate, predict, plot, check, bench_loader, bench_compute)


def names_of(command: click.Command) -> dict[str, click.Parameter]:
    """Options by name, arguments by their name in capitals."""
    return {
        name: parameter
        for parameter in command.params
        for name in (
            (*parameter.opts, *parameter.secondary_opts)
            if isinstance(parameter, click.Option)
            else (str(parameter.name).upper(),)
        )
    }


def command_with(entry: OtherNames, name: str) -> tuple[click.Command, click.Parameter]:
    """The first command for which `entry` says what `name` means."""
    earlier = [one for one in (*SAME_MEANING, *OTHER_MEANING) if name in one.names]
    earlier = earlier[: earlier.index(entry)]
    for command in COMMANDS:
        own = names_of(command)
        if entry.flag in own and name not in own and not any(one.flag in own for one in earlier):
            return command, own[entry.flag]
    raise AssertionError(f"no command takes {name} for {entry.flag}")


@pytest.mark.parametrize("entry", SAME_MEANING, ids=lambda entry: entry.names[0])
def test_a_name_of_the_same_meaning_is_taken(entry: OtherNames) -> None:
    for name in {*entry.names} - {entry.flag}:
        command, parameter = command_with(entry, name)
        is_flag = isinstance(parameter, click.Option) and parameter.is_flag
        values = [f"v{number}" for number in range(0 if is_flag else abs(parameter.nargs))]
        ours = [entry.flag] if isinstance(parameter, click.Option) else []
        expected = [*ours, *([entry.value] if entry.value else values)]
        typed = [name] if entry.value else [name, *values]
        for spelled in (name, f"--{name[2:].replace('-', '_')}" if name[2:] else name):
            assert plain_words([spelled, *typed[1:]], command.params) == expected


@pytest.mark.parametrize("entry", OTHER_MEANING, ids=lambda entry: entry.names[0])
def test_a_name_of_another_meaning_is_answered(entry: OtherNames) -> None:
    for name in entry.names:
        command, _ = command_with(entry, name)
        with pytest.raises(MisuseError) as answer:
            plain_words([name, "1"], command.params)
        assert str(answer.value) == f"There is no {name}: {entry.advice}"


def test_answers_name_options_that_exist() -> None:
    options = {name for command in COMMANDS for name in names_of(command)}
    of_others = {"--lr", "--nproc_per_node"}
    for entry in OTHER_MEANING:
        assert {*re.findall(r"--[a-z][\w-]*", entry.advice)} <= options | of_others, entry
        assert entry.advice.endswith(".")


@pytest.mark.parametrize("flag", OTHER_VALUES)
def test_values_of_other_programs_become_ours(flag: str) -> None:
    for value, ours in OTHER_VALUES[flag].items():
        assert plain_words([flag, value], trainer.params) == [flag, ours]
        if isinstance(kind := names_of(trainer)[flag].type, click.Choice):
            assert ours in kind.choices and value not in kind.choices


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--epochs 3 --seed=4", "--epochs 3 --seed 4"),
        ("--Image_Size 64", "--image-size 64"),
        ("--fold=2/5 --crop-area 0.2 1", "--fold 2/5 --crop-area 0.2 1"),
        ("--synthetic --synthetic", "--synthetic --synthetic"),
        ("--device cuda:0", "--device cuda"),
        ("--device 0", "--device cuda"),
        ("--flip-test", "--flip-test"),
        ("--learning-rate -1", "--learning-rate -1"),
        ("--out=", "--out "),
        ("--epochs 3 -- --epochs", "--epochs 3 -- --epochs"),
    ],
)
def test_words_for_click(words: str, expected: str) -> None:
    assert plain_words(words.split(" "), trainer.params) == expected.split(" ")


def test_options_of_several_values_may_be_repeated() -> None:
    words = ["--run", "a", "--run", "b", "c", "--checkpoint", "best.pt"]
    assert plain_words(words, evaluate.params) == words
    assert plain_words(["--run", "a", "--run", "b"], plot.params) == ["a", "b"]
    assert plain_words(["-b64", "-b", "8"], bench_compute.params) == [
        *("--batch-size", "64", "--batch-size", "8")
    ]


def test_one_gpu_is_not_chosen_for_several_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(MisuseError, match="--device cuda:0: give --device cuda, which takes one"):
        plain_words(["--device", "cuda:0"], trainer.params)
