"""Options of bench-study."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from benchmarks.measuring.virtualenvs import KERAS_FOLDER
from benchmarks.scaling.config import ScalingBenchmark
from pipeline.options import setting

Part = TypeVar("Part")

FRAMEWORKS = {"pytorch": "PyTorch", "keras": "Keras"}


class Listed(click.ParamType[tuple[Part, ...]]):
    """A,B on the command line, a tuple in Python: each once, in the order typed."""

    name = "A,B,..."

    def __init__(self, part: Callable[[str], Part], wanted: str) -> None:
        self._part, self._wanted = part, wanted

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Part, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(dict.fromkeys(map(self._part, value.split(","))))
        except ValueError:
            self.fail(f"{value!r} is no list of {self._wanted}.", param, ctx)


def _framework(name: str) -> str:
    if name not in FRAMEWORKS:
        raise ValueError(name)
    return name


def _seed(text: str) -> int:
    if (seed := int(text)) < 0:
        raise ValueError(text)
    return seed


@dataclass(frozen=True, kw_only=True)
class Study(ScalingBenchmark):
    """The figures that bench-scaling is told are those of the stall ladder."""

    frameworks: tuple[str, ...] = setting(
        ("pytorch",), "pytorch, keras.", type=Listed(_framework, "pytorch and keras")
    )
    seeds: tuple[int, ...] = setting(
        (0,), "Each configuration is trained from each: the spread.", type=Listed(_seed, "seeds")
    )
    between: str = setting(
        "ethernet-100", "Link to one more node, as bench-predict's.", metavar="LINK"
    )
    environment: str = setting(str(KERAS_FOLDER), "Where TensorFlow and Keras are installed, once.")
