"""Frozen dataclasses as the one place of a setting: name, type, default, range, unit, help.

@dataclass(frozen=True, kw_only=True)
class Config(Options):
    seed: int = setting(0, "Seed of the order.", low=0)

@click.command(cls=Command)
@options(Config)
def main(**values):
    run(pick_fields(Config, values))
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import click

from pipeline.errors import MisuseError

Function = TypeVar("Function", bound=Callable[..., Any])
Config = TypeVar("Config")


class Option(click.Option):
    """An option of a field made by ``setting``.

    Args:
        section: title in ``--help`` that this option is the first under.
        aliases: earlier names, such as "--clip-norm", which ``--help`` does not show; a name
            stands for its value, or takes one like the option if that is None.
    """

    def __init__(
        self,
        *arguments: Any,
        section: str | None = None,
        aliases: Mapping[str, Any] = MappingProxyType({}),
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self.section, self.aliases = section, aliases

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        for alias, value in self.aliases.items():
            how: dict[str, Any] = {"action": "store", "nargs": self.nargs}
            if value is not None:
                how = {"action": "store_const", "const": value}
            parser.add_option(self, [alias], self.name, **how)


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


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Limits of a number, or of each of a tuple's: `low` and `high` may be reached, `above` and
    `below` not."""

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def hold(self, value: float) -> bool:
        within = self.low <= value <= self.high and self.above < value < self.below
        return within and math.isfinite(value)

    def __str__(self) -> str:
        if math.inf not in (-self.low, self.high):
            return f"from {self.low} to {self.high}"
        limits = {"at least": self.low, "above": self.above, "at most": self.high}
        limits["below"] = self.below
        return " and ".join(f"{k} {v}" for k, v in limits.items() if abs(v) < math.inf) or "finite"


def setting(
    default: Any,
    help: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    **click_arguments: Any,
) -> Any:
    """A dataclass field that is also a command line option.

    `low`, `high`, `above` and `below` are the ``Bounds`` of a number, which ``Options`` checks.
    `click_arguments` go to ``Option``: `section` and `aliases` are its own, the others those of
    ``click.option``. The option's name is the field's, with dashes. A bool that is False has no
    ``--no-`` form; a tuple that is empty may be given several times.
    """
    bounds = Bounds(low, high, above, below)
    metadata = {"help": help, "bounds": bounds, "click": click_arguments}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """A config whose numbers lie within their bounds: ``MisuseError`` names the option if not."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if bounds := field.metadata.get("bounds"):
                value = getattr(self, field.name)
                for number in value if isinstance(value, tuple) else (value,):
                    if isinstance(number, int | float) and not bounds.hold(number):
                        raise MisuseError(f"{flag_of(field.name)} must be {bounds}, not {number}.")


def flag_of(name: str) -> str:
    """--batch-size of batch_size."""
    return "--" + name.replace("_", "-")


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


def pick_fields(owner: type[Config], values: Mapping[str, Any]) -> Config:
    """Build `owner` from the entries of `values` that are its fields, by their names of today or
    by earlier ones, which stored settings have."""
    fields: Any = dataclasses.fields(owner)  # type: ignore[arg-type]
    aliases = {field.name: field.metadata.get("click", {}).get("aliases", {}) for field in fields}
    current = with_current_names(values, aliases)
    return owner(**{name: value for name, value in current.items() if name in aliases})


def with_current_names(
    values: Mapping[str, Any], aliases: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """`values` by field, of which `aliases` has the earlier names. A flag that was off is left
    out."""
    current = dict(values)
    for name, earlier in aliases.items():
        for alias, constant in earlier.items():
            value = current.pop(alias.removeprefix("--").replace("-", "_"), None)
            if constant is not None:
                value = constant if value else None
            if value is not None:
                current.setdefault(name, value)
    return current


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
        parameters = context.command.params
        aliases = {str(each.name): getattr(each, "aliases", {}) for each in parameters}
        defaults = with_current_names(load(value), aliases)
        known = aliases.keys() - {parameter.name}
        if strange := sorted(set(defaults) - known):
            raise MisuseError(f"{flag} {value}: there is no option for {', '.join(strange)}.")
        context.default_map = {**(context.default_map or {}), **defaults}
        return value

    settings: dict[str, Any] = {"expose_value": False, **click_arguments}
    return click.option(flag, is_eager=True, callback=fill, help=help, **settings)


def _option(field: dataclasses.Field[Any], hint: Any) -> Callable[[Function], Function]:
    arguments = {"help": field.metadata["help"], **field.metadata["click"]}
    flag = flag_of(field.name)
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
