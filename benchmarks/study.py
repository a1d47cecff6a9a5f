"""bench-study: how long training takes as ranks are added, by PyTorch and by Keras, and why."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from benchmarks.command import FROM_ENVIRONMENT
from benchmarks.environments import KERAS_FOLDER
from benchmarks.scaling import ScalingBenchmark
from pipeline.errors import MisuseError
from pipeline.options import Command, options, setting, take
from pipeline.profile_file import profile_file
from trainer.config import CONFIGS, Settings
from trainer.recipes import recipe_option

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
        (0,),
        "Each configuration is trained from each: the spread.",
        type=Listed(_seed, "seeds"),
    )
    between: str = setting(
        "ethernet-100", "Link to one more node, as bench-predict's.", metavar="LINK"
    )
    environment: str = setting(str(KERAS_FOLDER), "Where TensorFlow and Keras are installed, once.")


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@recipe_option
@profile_file
@options(Study, *CONFIGS)
@click.option("--data", help="The shards: the same as --shards.")
@click.pass_context
def main(context: click.Context, /, data: str | None, **values: Any) -> None:
    """Train at each number of ranks, by each framework, from each seed: to the end, to
    --target-top1 or for --max-minutes; on a CPU ResNet-18 for 10 epochs unless told otherwise. Then
    say whether it gets faster, whether accuracy holds, whether it flattens and why, and what one
    more node would give.

    Everything lies in --out (by default study). The same command goes on where it was stopped:
    trainings that are done stay. The global batch is the same everywhere, so that all see the same
    steps.
    """
    typed = {
        name for name in values if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    if data is not None:
        values["shards"] = data
        typed.add("shards")
    values["out"] = values["out"] or "study"
    study, settings = take(Study, values), Settings.of(**values)
    if study.mode or study.to_end:
        raise MisuseError("A study trains to the end, in strong scaling: leave that out.")
    if settings.machine.synthetic:
        raise MisuseError("bench-study trains on real input: leave out --synthetic.")
    plain = settings.plain()

    # torch takes seconds to import: --help doesn't wait for it.
    from benchmarks.study_runs import run_study

    run_study(study, settings, {name: plain[name] for name in sorted(typed & plain.keys())})


if __name__ == "__main__":
    main()
