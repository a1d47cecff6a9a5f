"""Options of bench-study."""

from dataclasses import dataclass
from typing import Any

import click

from benchmarks.measuring.virtualenvs import KERAS_FOLDER
from pipeline.options import Options, setting
from pipeline.plan.part import parse_train_samples

FRAMEWORKS = {"pytorch": "PyTorch", "keras": "Keras"}


class CommaSeparated(click.ParamType[tuple[Any, ...]]):
    """A,B on the command line, a tuple in Python: in the order typed, without duplicates."""

    name = "A,B,..."

    def __init__(self, part: click.ParamType[Any]) -> None:
        self._part = part

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        parts = (self._part.convert(part, param, ctx) for part in value.split(","))
        return tuple(dict.fromkeys(parts))


@dataclass(frozen=True, kw_only=True)
class Study(Options):
    frameworks: tuple[str, ...] = setting(
        ("pytorch",),
        "Frameworks to train with: pytorch, keras or both.",
        type=CommaSeparated(click.Choice([*FRAMEWORKS])),
    )
    seeds: tuple[int, ...] = setting(
        (0,),
        "Seeds to train every configuration from; several show the spread.",
        type=CommaSeparated(click.IntRange(min=0)),
    )
    train_samples: tuple[str, ...] | None = setting(
        None,
        "Parts of the training samples, such as 10%,30%,100%: train on each and draw a learning "
        "curve, which says whether more data would help. One part: train on it only.",
        type=CommaSeparated(click.STRING),
    )
    between: str = setting(
        "ethernet-100", "Link to a second node, as bench-predict's --between.", metavar="LINK"
    )
    environment: str = setting(
        str(KERAS_FOLDER), "Virtualenv of TensorFlow and Keras, created if it is missing."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in self.train_samples or ():
            parse_train_samples(part)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of a learning curve; none without several."""
        return self.train_samples if self.train_samples and len(self.train_samples) > 1 else ()
