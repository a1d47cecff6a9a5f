"""Types of options that click lacks."""

from typing import Any

import click


class IntegerOr(click.ParamType[int | str]):
    """An integer, or `word`."""

    name = "integer"

    def __init__(self, word: str) -> None:
        self._word = word

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value == self._word:
            return self._word
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither an integer nor {self._word}.", param, ctx)
