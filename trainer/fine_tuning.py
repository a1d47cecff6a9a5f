"""What fine-tuning adds to a run: the weights that it starts from, the input that they expect, the
last layer, and the frozen layers before it."""

import math
from collections.abc import Collection
from dataclasses import replace

from torch import nn

from pipeline.errors import MisuseError
from pipeline.text import plural
from trainer.checkpoints.pretrained import load_pretrained
from trainer.checkpoints.pretrained_source import WeightsSource, download
from trainer.config import Settings
from trainer.data import TrainingData
from trainer.distributed.collectives import World
from trainer.model.build import Classifier
from trainer.model.freezing import BackboneFreeze, freeze_backbone
from trainer.model.head import find_head
from trainer.model.layers import lr_factors
from trainer.model.sources.source import ModelSource, NetworkSpec, WeightsInput
from trainer.recipe_config import RecipeConfig


def head_for(
    recipe: RecipeConfig, source: ModelSource, network: nn.Module, spec: NetworkSpec
) -> frozenset[str]:
    """Names of the parameters of the last layer of `network`; empty if no option needs them.

    Raises ``MisuseError`` if an option needs a last layer and the network has none.
    """
    needs = {
        "--freeze-backbone-epochs": recipe.freeze_backbone_epochs > 0,
        "--backbone-lr-factor": recipe.backbone_lr_factor != 1,
    }
    flags = [flag for flag, is_set in needs.items() if is_set]
    if not (flags or recipe.pretrained):
        return frozenset()
    head = find_head(source, network, spec)
    if flags and not head:
        raise MisuseError(
            f"{flags[0]}: no layer of {source.name} depends on the number of classes, so it has no "
            f"last layer: leave it out."
        )
    return head


def lr_factors_for(
    recipe: RecipeConfig, source: ModelSource, network: nn.Module, head: Collection[str]
) -> dict[str, float]:
    """Parameter name -> factor of its learning rate, by --layer-decay and --backbone-lr-factor.

    Raises ``MisuseError`` if the order of the layers is unknown.
    """
    factors = {
        name: 1.0 if name in head else recipe.backbone_lr_factor
        for name, _ in network.named_parameters()
    }
    if recipe.layer_decay is None:
        return factors
    layers = source.layers(network)
    if layers is None:
        raise MisuseError(
            f"--layer-decay: the order of the layers of {source.name} is unknown: leave it out, or "
            f"take a classifier of torchvision or timm."
        )
    decays = lr_factors(layers, recipe.layer_decay)
    return {name: factor * decays.get(name, 1.0) for name, factor in factors.items()}


def build_freeze(
    settings: Settings, data: TrainingData, model: Classifier, head: Collection[str]
) -> tuple[BackboneFreeze | None, list[str]]:
    """The freeze of ``--freeze-backbone-epochs``, None without it, and lines about it for the
    startup message."""
    recipe = settings.recipe
    if not recipe.freeze_backbone_epochs:
        return None, []
    steps = math.ceil(recipe.freeze_backbone_epochs * data.samples / recipe.global_batch_size)
    return freeze_backbone(model, head, steps=steps), [
        f"Only {', '.join(sorted(head))} are trained at first, for {plural(steps, 'step')} "
        f"(--freeze-backbone-epochs)."
    ]


def load_initial_weights(
    network: nn.Module,
    source: WeightsSource,
    world: World,
    *,
    model: ModelSource,
    head: Collection[str],
    image_size_px: int,
) -> tuple[WeightsInput | None, list[str]]:
    """Load the weights of ``--pretrained`` on each rank; one rank per machine downloads them.

    Returns the input that they expect, None if it is unknown, and lines for the startup message.
    All ranks must call this. Raises ``DataError`` as ``download`` and ``load_pretrained`` do.
    """
    with world.fail_together():
        if world.local_rank == 0:
            download(source)
    with world.fail_together():
        expected, line = load_pretrained(
            network, source, model=model, head=head, image_size_px=image_size_px
        )
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
