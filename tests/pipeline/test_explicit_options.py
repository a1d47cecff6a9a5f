"""An option without an effect beside the others is refused by name."""

from dataclasses import dataclass
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner

from pipeline.explicit_options import given_options
from pipeline.options import Command, defaults_option, options, setting


@dataclass(frozen=True, kw_only=True)
class Oven:
    heat: Literal["top", "bottom", "fan"] = setting("top", "Heat.")
    degrees: int = setting(180, "Temperature.", only_with="--heat top|bottom")
    timer: int | None = setting(None, "Minutes.", not_with="--until-done")
    until_done: bool = setting(False, "Watch it.")
    bell: str = setting("soft", "Sound.", only_with=("--timer", "--heat top"))
    color: str = setting("red", "Color.", only_with="--paint")


def bake(*arguments: str) -> str:
    presets = {"bread": {"heat": "fan", "degrees": 200, "until_done": True}}

    @click.command(cls=Command)
    @defaults_option("--for", presets.__getitem__, "Preset.")
    @options(Oven)
    @click.pass_context
    def command(context: click.Context, /, **values: Any) -> None:
        click.echo(sorted(given_options(context, values)))

    result = CliRunner().invoke(command, arguments)
    assert result.exit_code in (0, 2)
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            "--heat fan --degrees 90",
            "--degrees has an effect with --heat top or bottom only: give that, or omit --degrees.",
        ),
        ("--for bread --degrees 90", "--degrees has an effect with --heat top or bottom only"),
        ("--timer 3 --until-done", "--timer and --until-done exclude each other: omit one."),
        ("--bell loud", "--bell has an effect with --timer only: give that, or omit --bell."),
        ("--bell loud --timer 3 --heat fan", "--bell has an effect with --heat top only"),
        # The default, but typed.
        ("--bell soft", "--bell has an effect with --timer only"),
    ],
)
def test_is_refused(arguments: str, sentence: str) -> None:
    assert sentence in bake(*arguments.split())


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ("", []),
        ("--degrees 90", ["degrees"]),
        ("--bell loud --timer 3", ["bell", "timer"]),
        # What a preset gives may be without an effect, and is not on the command line.
        ("--for bread", ["degrees", "heat", "until_done"]),
        ("--for bread --timer 3", ["degrees", "heat", "timer", "until_done"]),
        # The command has no --paint.
        ("--color blue", ["color"]),
    ],
)
def test_is_accepted(arguments: str, given: list[str]) -> None:
    assert bake(*arguments.split()) == str(given)
