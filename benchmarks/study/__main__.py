"""bench-study: how long training takes as ranks are added, by PyTorch and by Keras, and why."""

from typing import Any

import click
from click.core import ParameterSource

from benchmarks.measuring.config import FROM_ENVIRONMENT
from benchmarks.study.config import Study
from pipeline.errors import MisuseError
from pipeline.options import Command, options, pick_fields
from pipeline.profile_file import profile_file
from trainer.config import CONFIGS, Settings
from trainer.recipes import recipe_option


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
    study, settings = pick_fields(Study, values), Settings.from_options(**values)
    if study.mode or study.to_end:
        raise MisuseError("A study trains to the end, in strong scaling: leave that out.")
    if settings.machine.synthetic:
        raise MisuseError("bench-study trains on real input: leave out --synthetic.")
    plain = settings.to_dict()

    # torch takes seconds to import: --help doesn't wait for it.
    from benchmarks.study.run import run_study

    run_study(study, settings, {name: plain[name] for name in sorted(typed & plain.keys())})


if __name__ == "__main__":
    main()
