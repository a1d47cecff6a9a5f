"""What fine-tuning adds to a run: the weights that it starts from, the input that they expect, the
last layer, and the frozen layers before it."""

import math
from collections.abc import Collection
from dataclasses import replace

from torch import nn

from trainer.checkpoints.pretrained import load_pretrained
from trainer.checkpoints.pretrained_source import WeightsSource, download
from trainer.checkpoints.weights_input import WeightsInput
from trainer.config import Settings
from trainer.data import TrainingData
from trainer.distributed.collectives import World
from trainer.model.build import Classifier, build_network
from trainer.model.freezing import BackboneFreeze, freeze_backbone
from trainer.model.head import head_names
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task


def find_head(settings: Settings, data: TrainingData, task: Task) -> frozenset[str]:
    """Names of the parameters of the network's last layer; empty if no option needs them."""
    recipe = settings.recipe
    if not (recipe.pretrained or recipe.freeze_backbone_epochs or recipe.backbone_lr_factor != 1):
        return frozenset()
    return head_names(
        lambda classes: build_network(
            recipe.model,
            classes=classes,
            image_size_px=data.image_size_px,
            pixelwise=isinstance(task, Segmentation),
        )
    )


def build_freeze(
    settings: Settings, data: TrainingData, model: Classifier, head: Collection[str], world: World
) -> tuple[BackboneFreeze | None, list[str]]:
    """The freeze of ``--freeze-backbone-epochs``, None without it, and lines about it for the
    startup message."""
    recipe = settings.recipe
    if not recipe.freeze_backbone_epochs:
        return None, []
    steps = math.ceil(recipe.freeze_backbone_epochs * data.samples / recipe.global_batch_size)
    freeze = freeze_backbone(model, head, steps=steps, average=world.all_reduce_mean_)
    return freeze, [
        f"Only {', '.join(sorted(head))} are trained in the first {steps:,} steps "
        f"(--freeze-backbone-epochs)."
    ]


def load_initial_weights(
    network: nn.Module, source: WeightsSource, world: World, *, model: str, head: Collection[str]
) -> tuple[WeightsInput | None, list[str]]:
    """Load the weights of ``--pretrained`` on each rank; one rank per machine downloads them.

    Returns the input that they expect, None if it is unknown, and lines for the startup message.
    All ranks must call this. Raises ``DataError`` as ``download`` and ``load_pretrained`` do.
    """
    with world.fail_together():
        if world.local_rank == 0:
            download(source)
    with world.fail_together():
        expected, line = load_pretrained(network, source, model=model, head=head)
    if expected is not None:
        return expected, [line]
    return None, [
        line,
        "The file does not say how images were normalized and resized for these weights: the run "
        "takes the shards' mean and standard deviation, and resizes as --interpolation says.",
    ]


def prepare_input(
    settings: Settings, data: TrainingData, expected: WeightsInput | None
) -> tuple[Settings, TrainingData, list[str]]:
    """Settings and data with the normalization and interpolation that the weights expect, unless
    --normalization or --interpolation says otherwise; and lines about it for the startup message.

    `expected` is None if there are no such weights: nothing changes.
    """
    if expected is None:
        return settings, data, []
    by_weights, pipeline = settings.recipe.normalization == "weights", settings.pipeline
    if by_weights:
        data = replace(data, mean=expected.mean, std=expected.std)
    if pipeline.interpolation == "auto":
        pipeline = replace(pipeline, interpolation=expected.interpolation)
    whose = "the weights" if by_weights else "the shards"
    lines = [
        f"Images are normalized by {whose}' mean {_numbers(data.mean)} and standard deviation "
        f"{_numbers(data.std)} (--normalization), and resized {pipeline.resolved_interpolation} "
        f"(--interpolation)."
    ]
    if expected.image_size_px != data.image_size_px:
        lines.append(
            f"The weights expect images of {expected.image_size_px} px, this run has "
            f"{data.image_size_px} px (--image-size)."
        )
    return replace(settings, pipeline=pipeline), data, lines


def _numbers(values: tuple[float, float, float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
