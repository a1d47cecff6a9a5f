"""What a study trains: its configurations, with defaults for what was not given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from benchmarks.keras.limits import check_settings as check_keras
from benchmarks.scaling.config import LadderConfig
from benchmarks.scaling.plan import ScalingPlan, check_model, plan_scaling
from benchmarks.scaling.record import STRONG
from benchmarks.study.config import Study
from benchmarks.study.parts import LENGTHS, open_parts, options_of_part
from benchmarks.study.trials import Trial, check_settings, plan_trials
from pipeline.errors import MisuseError
from trainer.config import Settings
from trainer.data import TrainingData, open_data
from trainer.resolve import resolve

# The trainer's 90 take hours on a CPU.
CPU_EPOCHS = 10.0


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """A study without open choices; every training gets `options`, by setting; `data` are those of
    the largest part."""

    study: Study
    ladder: LadderConfig
    sizes: ScalingPlan
    data: TrainingData
    options: Mapping[str, Any]
    folder: Path
    trials: Sequence[Trial]

    @property
    def settings(self) -> Settings:
        return self.sizes.settings

    def options_of(self, trial: Trial) -> dict[str, Any]:
        """The settings of a training that differ between trials."""
        if trial.part is None:
            return {"seed": trial.seed}
        is_timed = self.settings.run.max_minutes is not None
        fixed = frozenset(LENGTHS) - self.options.keys() if is_timed else frozenset()
        largest = max((one.part for one in self.trials if one.part), key=attrgetter("samples"))
        settings = self.settings.to_dict()
        return {"seed": trial.seed, **options_of_part(trial.part, largest, settings, fixed=fixed)}

    @property
    def task(self) -> str:
        assert self.data.dataset is not None
        return self.data.dataset.manifest.task


def plan_study(
    study: Study, ladder: LadderConfig, settings: Settings, typed: Mapping[str, Any]
) -> StudyPlan:
    """Choose what the options leave open; `typed` are those of `settings` that are not defaults.

    Raises ``MisuseError`` and ``DataError`` for shards, parts and ranks that don't fit.
    """
    parts = open_parts(study.parts, settings.pipeline) if study.parts else ()
    largest = parts[-1].text if parts else settings.pipeline.train_samples
    data = open_data(replace(settings.pipeline, train_samples=largest), synthetic=False)
    default = resolve(settings, data).recipe.global_batch_size
    options = {"global_batch_size": default, **typed}
    sizes = plan_scaling(
        ladder, settings, options, image_size_px=data.image_size_px, modes=(STRONG,)
    )
    if parts:
        sizes = _one_size(ladder, sizes)
    options["model"] = sizes.settings.recipe.model
    if not sizes.gpus and not {"epochs", "max_minutes", "target_top1"} & typed.keys():
        options["epochs"] = CPU_EPOCHS
    complete = Settings.from_options(**{**sizes.settings.to_dict(), **options})
    # As the trainings choose what no option gives.
    planned = resolve(replace(complete, given=frozenset(options)), data)
    folder = Path(str(settings.run.out))
    return StudyPlan(
        study=study,
        ladder=ladder,
        sizes=replace(sizes, settings=planned),
        data=data,
        options=options,
        folder=folder,
        trials=plan_trials(folder, study.frameworks, sizes.ranks, study.seeds, parts),
    )


def _one_size(ladder: LadderConfig, sizes: ScalingPlan) -> ScalingPlan:
    """The number of ranks to compare parts on, the largest by default. Raises ``MisuseError`` if
    several are given."""
    if ladder.ranks and len(ladder.ranks) > 1:
        raise MisuseError(
            f"--ranks {','.join(map(str, ladder.ranks))} and several parts in --train-samples are "
            f"two studies: give one number of ranks, such as --ranks {ladder.ranks[-1]}."
        )
    return replace(sizes, ranks=sizes.ranks[-1:])


def check_plan(plan: StudyPlan) -> None:
    """Raise errors before the trainings start, which take hours."""
    if "keras" in plan.study.frameworks:
        if plan.sizes.gpus:
            raise MisuseError("Keras trains on the CPU only: give --device cpu.")
        check_keras(plan.settings, task=plan.task)
    check_model(plan.settings, plan.data)
    for trial in plan.trials:
        settings = plan.settings.to_dict() | plan.options_of(trial)
        check_settings(trial, settings, plan.data.fingerprint)
