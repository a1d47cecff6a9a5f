"""The words of a command line before click parses them.

Names of options that other programs have taught are replaced by ours or answered, an option of one
value is accepted once, and a word without an option gets a sentence.
"""

import math
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from pipeline.errors import MisuseError
from pipeline.other_meanings import OTHER_MEANING
from pipeline.other_names import OTHER_VALUES, SAME_MEANING, OtherNames

# Options for a word that has none before it: other programs take a folder without one.
_FOLDERS = ("--src", "--shards", "--run")


@dataclass(frozen=True, kw_only=True)
class _Typed:
    """An option as it was typed, as `text`, or a word without one: then `name` is empty."""

    text: str
    name: str = ""
    values: tuple[str, ...] = ()


class _Names:
    """The names that a command knows: its own, in any spelling, and those of other programs."""

    def __init__(self, parameters: Sequence[click.Parameter]) -> None:
        self.options: dict[str, click.Option] = {
            name: option
            for option in parameters
            if isinstance(option, click.Option)
            for name in (*option.opts, *option.secondary_opts, *getattr(option, "aliases", ()))
        }
        arguments = [one for one in parameters if isinstance(one, click.Argument)]
        self.arguments = {str(argument.name).upper(): argument.nargs for argument in arguments}
        self._spellings = {_spelling(name): name for name in self.options}

    def own(self, typed: str) -> str | None:
        """The command's option that `typed` is a spelling of."""
        return typed if typed in self.options else self._spellings.get(_spelling(typed))

    def other(self, typed: str) -> OtherNames | None:
        """What a name of other programs means for this command."""
        spelling = _spelling(typed)
        for entry in (*SAME_MEANING, *OTHER_MEANING):
            is_here = entry.flag in self.options or entry.flag in self.arguments
            if is_here and spelling in map(_spelling, entry.names):
                return entry
        return None

    def knows(self, typed: str) -> bool:
        return self.own(typed) is not None or self.other(typed) is not None

    def takes_value(self, name: str) -> bool:
        option = self.options[name]
        has_constant = getattr(option, "aliases", {}).get(name) is not None
        return not (option.is_flag or option.count or has_constant)

    def may_repeat(self, first: _Typed, second: _Typed) -> bool:
        option = self.options[first.name]
        same_flag = not self.takes_value(first.name) and first.name == second.name
        return option.multiple or option.count or same_flag


def plain_words(words: Sequence[str], parameters: Sequence[click.Parameter]) -> list[str]:
    """`words` as click is to parse them for a command with `parameters`.

    Raises:
        MisuseError: a name means something else here, an option of one value is given twice or
            without its value, or a word has no option before it.
        click.NoSuchOption: neither the command nor other programs have the name.
    """
    names = _Names(parameters)
    end = words.index("--") if "--" in words else len(words)
    room = math.inf if -1 in names.arguments.values() else sum(names.arguments.values())
    result: list[str] = []
    given: dict[str, _Typed] = {}
    before = None
    for typed in _read(words[:end], names):
        if typed.name:
            first = given.setdefault(str(names.options[typed.name].name), typed)
            if first is not typed and not names.may_repeat(first, typed):
                raise MisuseError(
                    f"{first.text} and {typed.text} set the same option: give one of them."
                )
        else:
            room -= 1
            if room < 0:
                raise MisuseError(_about_extra(typed.text, before, names))
        result += [typed.name, *typed.values] if typed.name else typed.values
        before = typed
    return [*result, *words[end:]]


def _read(words: Sequence[str], names: _Names) -> Iterator[_Typed]:
    """Options with their values, and words without an option, in order."""
    queue = deque(words)
    while queue:
        word = queue.popleft()
        if not word.startswith("-") or word == "-":
            yield _Typed(text=word, values=(word,))
            continue
        typed, sign, value = word.partition("=")
        # -b64
        if not (word.startswith("--") or names.knows(typed)) and names.knows(word[:2]):
            typed, sign, value = word[:2], "=", word[2:]
        name, constant = _resolve(typed, names)
        if constant is not None:
            yield _Typed(text=typed, name=name, values=(constant,))
        elif name in names.options and not names.takes_value(name):
            # click says that a flag takes no value.
            yield _Typed(text=typed, name=f"{name}={value}" if sign else name)
        else:
            if sign:
                queue.appendleft(value)
            count = names.options[name].nargs if name in names.options else 1
            values = tuple(_next(typed, queue, names) for _ in range(count))
            own = tuple(_own_value(name, value) for value in values)
            is_option = name in names.options
            yield _Typed(
                text=" ".join((typed, *values)), name=name if is_option else "", values=own
            )


def _resolve(typed: str, names: _Names) -> tuple[str, str | None]:
    """The option or argument that `typed` names, and the value that it stands for."""
    name = names.own(typed)
    if name is not None:
        return name, None
    entry = names.other(typed)
    if entry is None:
        raise click.NoSuchOption(
            typed, possibilities=[name for name in names.options if name != "--help"]
        )
    if entry.advice:
        raise MisuseError(f"There is no {typed}: {entry.advice}")
    return entry.flag, entry.value


def _next(typed: str, queue: deque[str], names: _Names) -> str:
    """A value of the option `typed`."""
    if not queue:
        raise MisuseError(f"{typed} needs a value, but nothing follows.")
    if queue[0].startswith("--") and names.knows(queue[0].partition("=")[0]):
        raise MisuseError(f"{typed} needs a value, but {queue[0]} follows.")
    return queue.popleft()


def _own_value(name: str, value: str) -> str:
    """The value here of an option's `value` in other programs."""
    number = re.fullmatch(r"(?:cuda:)?(\d+)", value)
    if name != "--device" or number is None:
        return OTHER_VALUES.get(name, {}).get(value.lower(), value)
    if number[1] != "0" or os.environ.get("WORLD_SIZE", "1") != "1":
        raise MisuseError(
            f"--device {value}: give --device cuda, which takes one GPU for each process, and "
            f"choose GPUs with CUDA_VISIBLE_DEVICES={number[1]} before the command."
        )
    return "cuda"


def _about_extra(word: str, before: _Typed | None, names: _Names) -> str:
    """What to do with a word that has no option before it."""
    key, sign, value = word.partition("=")
    if before is not None and before.name and not before.values:
        return f"{before.text} takes no value: leave {word} out."
    if sign and (name := names.own(f"--{key}")) is not None:
        return f"{word} is not an option: write {name} {value}."
    if names.arguments:
        return (
            f"{word} is a word too many: this command takes one {', one '.join(names.arguments)}."
        )
    flag = next((flag for flag in _FOLDERS if flag in names.options), None)
    if flag is None:
        return f"{word} has no option before it: leave it out."
    return f"{word} has no option before it: give a folder as {flag} {word}."


def _spelling(name: str) -> str:
    """A name without dashes, underscores and capitals."""
    return re.sub("[-_]", "", name).lower()
