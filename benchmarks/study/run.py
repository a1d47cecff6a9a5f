"""A study from its first training to its report."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.measuring.result_file import read_bundle
from benchmarks.measuring.virtualenvs import prepare_keras
from benchmarks.measuring.worker_process import exit_on_sigterm
from benchmarks.predict.config import PredictConfig
from benchmarks.predict.report import predict
from benchmarks.report.sections import write_report
from benchmarks.report.study_record import Configuration
from benchmarks.scaling.config import LadderConfig
from benchmarks.scaling.measure_scaling import measure_ladder
from benchmarks.scaling.plan import Size
from benchmarks.scaling.record import STRONG, read_points
from benchmarks.scaling.whole_trainings import train
from benchmarks.study.config import Study
from benchmarks.study.configurations import group_results
from benchmarks.study.findings import answer_questions, find_speed_up
from benchmarks.study.folder import has_result, lock_folder
from benchmarks.study.learning_curve import QUESTION, answer_more_data, find_more_data
from benchmarks.study.plan import StudyPlan, check_plan, plan_study
from benchmarks.study.report import report_study
from benchmarks.study.trials import Trial, is_done, read_result
from pipeline.console import print_line
from pipeline.errors import DataError
from trainer.config import Settings
from trainer.tasks.tasks import TASKS

# The module that torchrun starts for a framework.
MODULES = {"pytorch": "trainer", "keras": "benchmarks.keras"}
# Settings of a training, not of a stall ladder.
_OF_TRAININGS = ("out", "epochs", "max_minutes", "target_top1", "seed", "resume")


def run_study(
    study: Study, ladder: LadderConfig, settings: Settings, typed: Mapping[str, Any]
) -> None:
    """Run the trials that are not done, measure the stall ladder, predict, and report; `typed` are
    those of `settings` that are not defaults.

    Raises ``DataError`` if a training fails; finished ones are kept.
    """
    plan = plan_study(study, ladder, settings, typed)
    check_plan(plan)
    with exit_on_sigterm(), lock_folder(plan.folder, machines=ladder.nnodes) as lock:
        pythons = _pythons(study)
        for number, trial in enumerate(plan.trials):
            done = is_done(trial)
            print_line(f"{number + 1} of {len(plan.trials)}: {trial}{' is done' * done}.")
            if not done:
                _train(plan, trial, pythons[trial.framework], number, lock)
        if study.parts:
            if all(map(is_done, plan.trials)):
                _report_parts(plan)
                return
        else:
            scaling = _measure_ladder(plan)
            if scaling.exists():
                _report(plan, scaling, _predict(plan, scaling))
                return
        print_line("Finished: the machine of rank 0 has the report.")


def _pythons(study: Study) -> dict[str, str]:
    """Framework -> Python interpreter with its packages."""
    pythons = {"pytorch": sys.executable}
    if "keras" in study.frameworks:
        virtualenv = prepare_keras(Path(study.environment))
        if virtualenv.missing:
            raise DataError("; ".join(virtualenv.missing.values()))
        pythons["keras"] = virtualenv.python
    return pythons


def _train(plan: StudyPlan, trial: Trial, python: str, number: int, lock: int) -> None:
    batch_size = plan.sizes.global_batch_size // trial.ranks
    trial.directory.parent.mkdir(parents=True, exist_ok=True)
    train(
        plan.ladder,
        plan.sizes,
        {**plan.options, **plan.options_of(trial)},
        Size(mode=STRONG, world_size=trial.ranks, batch_size=batch_size),
        trial.directory,
        number,
        module=MODULES[trial.framework],
        python=python,
        pass_fds=(lock,),
    )


def _measure_ladder(plan: StudyPlan) -> Path:
    """The result of bench-scaling with PyTorch; an earlier one with the same settings is kept."""
    path, sizes = plan.folder / "scaling.json", plan.sizes
    ladder = replace(
        plan.ladder,
        # A prediction starts from one rank.
        ranks=tuple(sorted({1, *sizes.ranks})),
        # That of the largest size is measured once, for weak and strong scaling.
        batch_size=plan.ladder.batch_size or sizes.global_batch_size // sizes.ranks[-1],
        output=str(path),
    )
    fixed = {"global_batch_size": sizes.global_batch_size}
    typed = {**_of_ladder(plan.options), **fixed}
    settings = {**_of_ladder(plan.settings.to_dict()), **fixed}
    settings |= {name: getattr(ladder, name) for name in ("ranks", "batch_size", "seconds", "runs")}
    if not has_result(path, settings):
        print_line("Measuring the stall ladder:")
        measure_ladder(ladder, plan.settings, typed)
    return path


def _of_ladder(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in _OF_TRAININGS}


def _predict(plan: StudyPlan, scaling: Path) -> Path:
    """The prediction for twice the ranks; on CPUs with a measured link between ranks."""
    path, sizes, link = plan.folder / "prediction.json", plan.sizes, plan.study.between
    is_current = path.exists() and path.stat().st_mtime >= scaling.stat().st_mtime
    if not is_current or read_bundle(path)["network"]["between"]["name"] != link:
        ranks = 2 * sizes.ranks[-1]
        config = PredictConfig(
            max_ranks=ranks,
            ranks_per_node=sizes.ranks_per_node,
            between=link,
            measure_network=not sizes.gpus and ranks >= 4,
            output=str(path),
        )
        predict([scaling], config)
    return path


def _report(plan: StudyPlan, scaling: Path, prediction: Path) -> None:
    configurations, metric = _results(plan)
    answers = answer_questions(
        configurations,
        metric=metric,
        points=read_points(read_bundle(scaling)),
        prediction=read_bundle(prediction),
        run=plan.settings.run,
    )
    finding = find_speed_up(configurations)
    _write_report(plan, configurations, metric, answers, finding, [scaling, prediction])


def _report_parts(plan: StudyPlan) -> None:
    configurations, metric = _results(plan)
    answers = {QUESTION: answer_more_data(configurations, metric)}
    finding = find_more_data(configurations, metric)
    _write_report(plan, configurations, metric, answers, finding, [])


def _results(plan: StudyPlan) -> tuple[list[Configuration], str]:
    """The results by configuration, and the metric of their scores."""
    metric, target = TASKS[plan.task].primary_metric, plan.settings.run.target_top1
    trials = {trial: read_result(trial, metric=metric, target=target) for trial in plan.trials}
    return group_results(trials), metric


def _write_report(
    plan: StudyPlan,
    configurations: Sequence[Configuration],
    metric: str,
    answers: Mapping[str, str],
    finding: str,
    others: Sequence[Path],
) -> None:
    output = plan.folder / "study.json"
    report_study(
        configurations,
        metric=metric,
        answers=answers,
        finding=finding,
        options=asdict(plan.ladder) | asdict(plan.study),
        settings=plan.settings,
        output=output,
    )
    # Curves of one seed: those of all seeds would overlap.
    runs = [trial.directory for trial in plan.trials if trial.seed == plan.study.seeds[0]]
    write_report([output, *others, *runs], plan.folder / "report")
