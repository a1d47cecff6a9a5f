"""bench-study: train with several numbers of ranks, frameworks and seeds, and report."""

from typing import Any

import click

from benchmarks.measuring.config import FROM_ENVIRONMENT
from benchmarks.predict.networks import parse_link
from benchmarks.scaling.config import LadderConfig, require_given_steps
from benchmarks.study.config import Study
from pipeline.errors import MisuseError
from pipeline.explicit_options import given_options
from pipeline.options import Command, options, pick_fields
from pipeline.settings_file import profile_file
from trainer.config import CONFIGS, Settings
from trainer.first_checks import open_shards
from trainer.recipes import recipe_option


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@recipe_option
@profile_file
@options(LadderConfig, Study, *CONFIGS)
@click.option("--data", help="Directory of shards; the same as --shards.")
@click.pass_context
def main(context: click.Context, /, data: str | None, **values: Any) -> None:
    """Train every configuration, a framework on a number of ranks, from every seed, and report.

    A training runs to the end, to --target-top1 or for --max-minutes. On a CPU the default is
    ResNet-18 for 10 epochs. The report says whether training gets faster with more ranks, whether
    accuracy holds, whether the speed-up flattens and why, and what a second node would give. With
    several parts of the samples (--train-samples) it says whether more data would help instead.

    All files are in --out (default: study). The same command resumes an interrupted study and keeps
    finished trainings. The global batch size is the same for all configurations.
    """
    study, ladder = pick_fields(Study, values), pick_fields(LadderConfig, values)
    given = given_options(context, values) | ({} if data is None else {"shards": data})
    if parts := given.pop("train_samples", None):
        given |= {} if study.parts else {"train_samples": parts[0]}
    settings = Settings.from_options(**{"out": "study"} | given)
    if settings.machine.synthetic:
        raise MisuseError("bench-study trains on real input: leave out --synthetic.")
    if settings.run.resume != "auto":
        raise MisuseError("bench-study always resumes: leave out --resume.")
    require_given_steps(settings)
    parse_link("--between", study.between)
    open_shards(settings.pipeline)
    plain = settings.to_dict()
    typed = {name: plain[name] for name in sorted(given.keys() & plain.keys())}

    # torch takes seconds to import: neither --help nor an error above waits for it.
    from benchmarks.study.run import run_study

    run_study(study, ladder, settings, typed)


if __name__ == "__main__":
    main()
