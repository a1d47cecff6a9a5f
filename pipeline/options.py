"""Command line options from frozen dataclasses: a field has its name, type, default, range, help.

@dataclass(frozen=True, kw_only=True)
class Config(Options):
    seed: int = setting(0, "Seed of the order.", NOT_NEGATIVE)

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

from pipeline.commands import SafeCommand
from pipeline.errors import MisuseError
from pipeline.explicit_options import check_effects
from pipeline.typed_words import plain_words

# Width of a --help page, without its margins.
HELP_COLUMNS = 74

Function = TypeVar("Function", bound=Callable[..., Any])
Config = TypeVar("Config")


class Option(click.Option):
    """The option of a field made by ``setting``.

    Args:
        section: title in ``--help`` of the section that begins with this option.
        aliases: earlier names, such as "--clip-norm", which ``--help`` does not show. Each maps to
            the value that it stands for, or to None if it takes a value as the option does.
        only_with: what gives the option an effect, each "--flag", set, or "--flag value|value".
            Without it ``Command`` rejects the option on a command line.
        not_with: flags that can't be on the same command line.
    """

    def __init__(
        self,
        *arguments: Any,
        section: str | None = None,
        aliases: Mapping[str, Any] = MappingProxyType({}),
        only_with: str | tuple[str, ...] = (),
        not_with: str | tuple[str, ...] = (),
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self.section, self.aliases = section, aliases
        self.only_with = (only_with,) if isinstance(only_with, str) else only_with
        self.not_with = (not_with,) if isinstance(not_with, str) else not_with

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The choices are part of the help if they have no room beside the flag."""
        record = super().get_help_record(ctx)
        if record and isinstance(self.type, click.Choice) and len(record[0]) > HELP_COLUMNS:
            names = ", ".join(map(str, self.type.choices))
            return f"{record[0].partition(' ')[0]} NAME", f"{record[1]}  Names: {names}."
        return record

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        for alias, value in self.aliases.items():
            action: dict[str, Any] = {"action": "store", "nargs": self.nargs}
            if value is not None:
                action = {"action": "store_const", "const": value}
            parser.add_option(self, [alias], self.name, **action)


class Command(SafeCommand):
    """A command whose ``--help`` lists the options by section, which knows the names of options in
    other programs (``pipeline.typed_words``), and which rejects an option without an effect."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            words = args if ctx.resilient_parsing else plain_words(args, self.get_params(ctx))
        except click.UsageError as error:
            error.ctx = ctx
            raise
        rest = super().parse_args(ctx, words)
        check_effects(ctx)
        return rest

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
    """The range of a number, or of each number of a tuple: `low` and `high` are inclusive, `above`
    and `below` exclusive. NaN and infinity are outside."""

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        in_range = self.low <= value <= self.high and self.above < value < self.below
        return in_range and math.isfinite(value)

    def __str__(self) -> str:
        if math.inf not in (-self.low, self.high):
            return f"from {self.low} to {self.high}"
        limits = {"at least": self.low, "above": self.above, "at most": self.high}
        limits["below"] = self.below
        return " and ".join(f"{k} {v}" for k, v in limits.items() if abs(v) < math.inf) or "finite"


FINITE, COUNT, FRACTION = Bounds(), Bounds(low=1), Bounds(low=0, high=1)
POSITIVE, NOT_NEGATIVE = Bounds(above=0), Bounds(low=0)


def setting(default: Any, help: str, bounds: Bounds = FINITE, **click_arguments: Any) -> Any:
    """A dataclass field that is also a command line option, named as the field with dashes.

    ``Options`` checks that numbers are in `bounds`. The `click_arguments` are those of ``Option``
    and ``click.option``. A field of type ``Literal`` is a choice of its strings. A bool with
    default False has no ``--no-`` form; an option with default () may be given several times.
    """
    metadata = {"help": help, "bounds": bounds, "click": click_arguments}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """A config that checks its numbers; ``MisuseError`` names an option that is out of range."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if bounds := field.metadata.get("bounds"):
                value = getattr(self, field.name)
                for number in value if isinstance(value, tuple) else (value,):
                    if isinstance(number, int | float) and number not in bounds:
                        raise MisuseError(f"{flag_of(field.name)} must be {bounds}, not {number}.")


def flag_of(name: str) -> str:
    """The option of a field: --batch-size for batch_size."""
    return "--" + name.replace("_", "-")


def options(*classes: type) -> Callable[[Function], Function]:
    """Decorator that adds an option for each field of `classes` made by ``setting``; of several
    fields of one name, for that of the first class."""
    fields: dict[str, tuple[dataclasses.Field[Any], Any]] = {}
    for owner in classes:
        hints = typing.get_type_hints(owner)
        for field in dataclasses.fields(owner):
            if "help" in field.metadata:
                fields.setdefault(field.name, (field, hints[field.name]))

    def decorate(command: Function) -> Function:
        for field, hint in reversed(fields.values()):
            command = _option(field, hint)(command)
        return command

    return decorate


def pick_fields(owner: type[Config], values: Mapping[str, Any]) -> Config:
    """Build `owner` from the entries of `values` that are its fields, by their current names or by
    earlier names in stored settings."""
    fields: Any = dataclasses.fields(owner)  # type: ignore[arg-type]
    aliases = {field.name: field.metadata.get("click", {}).get("aliases", {}) for field in fields}
    current = with_current_names(values, aliases)
    return owner(**{name: value for name, value in current.items() if name in aliases})


def with_current_names(
    values: Mapping[str, Any], aliases: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Rename the entries of `values` that have earlier names; `aliases` has those of each field. A
    stored flag that is off is dropped."""
    current = dict(values)
    for name, earlier_names in aliases.items():
        for alias, constant in earlier_names.items():
            value = current.pop(alias.removeprefix("--").replace("-", "_"), None)
            if constant is not None:
                value = constant if value else None
            if value is not None:
                current.setdefault(name, value)
    return current


def defaults_option(
    flag: str, load: Callable[[Any], Mapping[str, Any]], help: str, **click_arguments: Any
) -> Callable[[Function], Function]:
    """Decorator that adds an option whose value selects defaults of other options.

    `load` maps the value to defaults by field name. Explicit options override them; of two such
    options the later one on the command line overrides the other. Raises ``MisuseError`` if the
    command has no option of a name.

    The decorated function does not get the value, unless `click_arguments`, which go to
    ``click.option``, have expose_value=True.
    """

    def fill(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is None:
            return None
        parameters = context.command.params
        aliases = {str(option.name): getattr(option, "aliases", {}) for option in parameters}
        defaults = with_current_names(load(value), aliases)
        names = aliases.keys() - {parameter.name}
        if unknown := sorted(set(defaults) - names):
            raise MisuseError(f"{flag} {value}: this command has no option {', '.join(unknown)}.")
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
        shown = arguments.get("show_default", field.default is not None)
        arguments |= {"default": field.default, "show_default": shown}
    return click.option(flag, field.name, cls=Option, **arguments)


def _plain_type(hint: Any) -> Any:
    """The type for click: ``int`` for ``int | None``, a tuple of types for a tuple."""
    if typing.get_origin(hint) is typing.Literal:
        return click.Choice(typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)
    # Of a Literal and None, Python 3.11 makes a typing.Union.
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        (hint,) = (arm for arm in typing.get_args(hint) if arm is not types.NoneType)
        return _plain_type(hint)
    return hint
