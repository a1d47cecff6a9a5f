"""``python -m trainer --find-lr``: a learning-rate range test in the place of a training."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from pipeline.arrays import Floats
from pipeline.console import open_console
from pipeline.errors import DataError
from pipeline.progress import ProgressLine
from trainer.config import Settings
from trainer.distributed.determinism import deterministic
from trainer.distributed.process_group import open_world
from trainer.find_lr_options import FindLrConfig, require_no_run
from trainer.loop import StepRecord
from trainer.optim.range_test import RULE, RangeTest, has_diverged, rising_rates
from trainer.out_of_memory import STEP
from trainer.plotting.range_chart import draw_range_test
from trainer.recipe_config import RecipeConfig
from trainer.run.run_dir import FIND_LR_CHART, FIND_LR_TABLE, write_rows
from trainer.setup import build_run
from trainer.train import training_steps, with_threads
from trainer.training_run import TrainingRun


def find_learning_rate(settings: Settings, config: FindLrConfig) -> None:
    """Make a range test as a training by `settings` would begin, write find_lr.png and find_lr.csv,
    and print the suggestion; nothing else is written.

    All layers are trained from the first step. Raises ``MisuseError`` if --out holds a run, and
    ``DataError`` if no rate lowers the loss; an error is raised on rank 0 only, and the other ranks
    exit silently.
    """
    with (
        open_world(settings.machine.device, timeout_seconds=settings.run.rank_timeout) as world,
        deterministic(settings.machine.deterministic),
    ):
        with world.fail_together():
            require_no_run(settings.run)
        run = build_run(with_threads(_for_test(settings), world), world)
        test = _measure(run, rising_rates(run.settings.recipe.optimizer, config.steps))
        with world.fail_together():
            if world.rank == 0:
                _report(run, test)


def _for_test(settings: Settings) -> Settings:
    """Settings of the test: the first steps of a training without what follows them."""
    recipe = replace(settings.recipe, freeze_backbone_epochs=0.0, ema_decay=None)
    return replace(settings, recipe=recipe, run=replace(settings.run, resume="never"))


def _measure(run: TrainingRun, rates: Floats) -> RangeTest:
    """Train with `rates` until the loss diverges; the same on all ranks."""
    size, losses = run.settings.recipe.global_batch_size, list[float]()
    with (
        run.batches(0, len(rates) * size) as batches,
        run.world.leaving_on_failure(),
        run.explained(STEP),
    ):
        steps = training_steps(run, batches, schedule=lambda position: rates[int(position // size)])
        for record in _with_progress(run, steps, rates):
            ranks = run.world.all_gather([record.loss.item()])
            losses.append(float(np.mean(ranks)))
            if has_diverged(losses):
                break
    finite = [loss for loss in losses if np.isfinite(loss)]
    return RangeTest(rates=rates[: len(finite)], losses=np.array(finite))


def _with_progress(
    run: TrainingRun, steps: Iterator[StepRecord], rates: Floats
) -> Iterator[StepRecord]:
    """The steps; rank 0 shows how far they are."""
    if run.world.rank > 0:
        yield from steps
        return
    recipe, count, console = run.settings.recipe, len(rates), open_console(soft_wrap=True)
    epochs = count * recipe.global_batch_size / run.data.samples
    console.print(
        f"Finding a learning rate for {recipe.model} with {recipe.optimizer}: at most {count} "
        f"steps of {recipe.global_batch_size} samples, {epochs:.2f} epochs. No weights are saved."
    )
    with ProgressLine(console) as line:
        for number, record in enumerate(steps, start=1):
            parts = [f"step {number}/{count}", f"lr {record.learning_rate:.2g}"]
            line.update(number / count, partial(list, parts), soon=True)
            yield record


def _report(run: TrainingRun, test: RangeTest) -> None:
    """Write table and chart, and print the suggestion. Raises ``DataError`` without one."""
    recipe, folder = run.settings.recipe, run.run_dir.path
    write_rows(folder / FIND_LR_TABLE, _table(test, recipe))
    peak = test.suggested
    value = None if peak is None else recipe.learning_rate_of(peak)
    draw_range_test(
        test,
        folder / FIND_LR_CHART,
        option_per_rate=recipe.learning_rate_of(1.0),
        title="No rate lowers the loss" if value is None else f"Try --learning-rate {value:.2g}",
    )
    if value is None:
        raise DataError(
            f"No learning rate lowered the loss in {len(test.losses)} steps, see "
            f"{folder / FIND_LR_CHART}: look at labels and images with tools/show, or give more "
            f"steps with --find-lr-steps."
        )
    open_console(soft_wrap=True).print(
        f"Try --learning-rate {value:.2g} (a peak of {peak:.2g} at global batch size "
        f"{recipe.global_batch_size}), {RULE}: {folder / FIND_LR_CHART}"
    )


def _table(test: RangeTest, recipe: RecipeConfig) -> Iterator[tuple[str, ...]]:
    """The rows of find_lr.csv."""
    yield ("step", "learning_rate_option", "learning_rate", "loss", "smoothed_loss")
    columns = (test.rates, test.losses, test.smoothed)
    for step, (rate, *losses) in enumerate(zip(*columns, strict=True), start=1):
        values = (recipe.learning_rate_of(rate), rate, *losses)
        yield (str(step), *(f"{value:.6g}" for value in values))
