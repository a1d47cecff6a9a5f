"""Frozen dataclasses as the one place of a setting: name, type, default, unit, help.

@dataclass(frozen=True, kw_only=True)
class Config:
    seed: int = setting(0, "Seed of the order.")

@click.command(cls=Command)
@options(Config)
def main(**values):
    run(take(Config, values))
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from pipeline.errors import MisuseError

Function = TypeVar("Function", bound=Callable[..., Any])
Config = TypeVar("Config")


class Option(click.Option):
    """Args: `section` is the title in ``--help`` that this option is the first under."""

    def __init__(self, *arguments: Any, section: str | None = None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.section = section


class Command(click.Command):
    """Its ``--help`` lists the options by section."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        title = first = "Options"
        records: dict[str, list[tuple[str, str]]] = {first: []}
        for parameter in self.get_params(context):
            title = getattr(parameter, "section", None) or title
            if record := parameter.get_help_record(context):
                is_help = parameter is self.get_help_option(context)
                records.setdefault(first if is_help else title, []).append(record)
        for name, rows in records.items():
            with formatter.section(name):
                formatter.write_dl(rows)


def setting(default: Any, help: str, **click_arguments: Any) -> Any:
    """A dataclass field that is also a command line option.

    `click_arguments` go to ``Option``, whose `section` is for the first option of one; otherwise
    they are those of ``click.option``; the option's name is the field's, with dashes. A bool
    that is False has no ``--no-`` form; a tuple that is empty may be given several times.
    """
    return dataclasses.field(default=default, metadata={"help": help, **click_arguments})


def options(*classes: type) -> Callable[[Function], Function]:
    """A decorator that adds an option for each field of `classes` made by ``setting``."""

    def decorate(command: Function) -> Function:
        for owner in reversed(classes):
            hints = typing.get_type_hints(owner)
            for field in reversed(dataclasses.fields(owner)):
                if "help" in field.metadata:
                    command = _option(field, hints[field.name])(command)
        return command

    return decorate


def take(owner: type[Config], values: dict[str, Any]) -> Config:
    """Build `owner` from the entries of `values` that are its fields."""
    names = {field.name for field in dataclasses.fields(owner)}  # type: ignore[arg-type]
    return owner(**{name: value for name, value in values.items() if name in names})


def defaults_option(
    flag: str, load: Callable[[Any], Mapping[str, Any]], help: str, **click_arguments: Any
) -> Callable[[Function], Function]:
    """A decorator that adds an option whose value stands for the defaults of others.

    `load` gets the value and returns the defaults by field name. What is typed wins over them; of
    two such options the one that is typed later wins. ``MisuseError`` if the command has no option
    of such a name.

    The function that is decorated doesn't get the value, unless `click_arguments`, which go to
    ``click.option``, say expose_value=True.
    """

    def fill(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is None:
            return None
        defaults = load(value)
        known = {each.name for each in context.command.params} - {parameter.name}
        if strange := sorted(set(defaults) - known):
            raise MisuseError(f"{flag} {value}: there is no option for {', '.join(strange)}.")
        context.default_map = {**(context.default_map or {}), **defaults}
        return value

    settings: dict[str, Any] = {"expose_value": False, **click_arguments}
    return click.option(flag, is_eager=True, callback=fill, help=help, **settings)


def within(flag: str, value: float, low: float, high: float = math.inf) -> None:
    """Raise ``MisuseError`` for a `value` of the option `flag` that isn't from `low` to `high`, or
    has no end."""
    if not (low <= value <= high and value < math.inf):
        limits = f"at least {low}" if high == math.inf else f"from {low} to {high}"
        raise MisuseError(f"{flag} must be {limits}, not {value}.")


def _option(field: dataclasses.Field[Any], hint: Any) -> Callable[[Function], Function]:
    arguments = dict(field.metadata)
    flag = "--" + field.name.replace("_", "-")
    if "type" not in arguments:
        arguments["type"] = _plain_type(hint)
    if arguments["type"] is bool:
        del arguments["type"]
        if field.default is False:
            return click.option(flag, field.name, cls=Option, is_flag=True, **arguments)
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    if field.default == ():
        arguments |= {"multiple": True, "type": arguments["type"][0]}
    if not arguments.get("required"):
        arguments |= {"default": field.default, "show_default": field.default is not None}
    return click.option(flag, field.name, cls=Option, **arguments)


def _plain_type(hint: Any) -> Any:
    """``int`` of ``int | None``; a tuple of plain types stays what click calls a tuple type."""
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        (hint,) = (arm for arm in typing.get_args(hint) if arm is not types.NoneType)
        return _plain_type(hint)
    return hint
