"""Which options a command was given, and whether each of them has an effect beside the others."""

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from pipeline.errors import MisuseError


def given_options(context: click.Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `values` that the user, a recipe or a file sets; not the defaults."""
    default = ParameterSource.DEFAULT
    return {
        name: value
        for name, value in values.items()
        if context.get_parameter_source(name) is not default
    }


def check_effects(context: click.Context) -> None:
    """Raise ``MisuseError`` for an option on the command line that has no effect, by `only_with`
    and `not_with` of ``Option``; recipes, files and environment variables are for many commands.
    Conditions on options that the command lacks are not checked."""
    options = {parameter.opts[0]: parameter for parameter in context.command.params}
    typed = {
        flag: option
        for flag, option in options.items()
        if context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    }
    for flag, option in typed.items():
        for other in getattr(option, "not_with", ()):
            if other in typed:
                raise MisuseError(f"{flag} and {other} exclude each other: omit one.")
        for condition in getattr(option, "only_with", ()):
            other, _, values = condition.partition(" ")
            if other in options and not _holds(context.params[str(options[other].name)], values):
                raise MisuseError(
                    f"{flag} has an effect with {condition.replace('|', ' or ')} only: give that, "
                    f"or omit {flag}."
                )


def _holds(value: Any, values: str) -> bool:
    """Whether `value` is one of `values`, "a|b"; without any, whether the option is set."""
    return value in values.split("|") if values else bool(value)
