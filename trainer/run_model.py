"""The model of a run, before it has weights."""

from trainer.config import Settings
from trainer.data import TrainingData
from trainer.distributed.collectives import World
from trainer.distributed.ddp import convert_sync_batchnorm
from trainer.model.build import Classifier, build_model
from trainer.model.rehearsal import check_single_images, check_training
from trainer.model.sources.source import ModelSource, NetworkSpec
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task


def network_spec(settings: Settings, data: TrainingData, task: Task) -> NetworkSpec:
    """What the network of a run on `data` is built for."""
    return NetworkSpec(
        classes=task.outputs,
        image_size_px=data.image_size_px,
        pixelwise=isinstance(task, Segmentation),
        drop_path=settings.recipe.drop_path,
    )


def model_for(
    settings: Settings, data: TrainingData, source: ModelSource, spec: NetworkSpec
) -> Classifier:
    """The untrained model of a run on `data`, on the CPU.

    Raises ``MisuseError`` as ``build_model`` does.
    """
    return build_model(
        source,
        spec,
        mean=data.mean,
        std=data.std,
        seed=settings.pipeline.seed,
        other_sizes_px=settings.pipeline.progressive_resize or (),
        blurpool=settings.recipe.blurpool,
    )


def training_model(
    settings: Settings,
    data: TrainingData,
    source: ModelSource,
    spec: NetworkSpec,
    world: World,
    batch_size: int,
) -> Classifier:
    """The model on its device; checks that it can train, on `batch_size` images per rank."""
    recipe = settings.recipe
    sizes_px = (data.image_size_px, *(settings.pipeline.progressive_resize or ()))
    model = model_for(settings, data, source, spec)
    is_single = batch_size == (1 if recipe.accumulate_steps == "auto" else recipe.accumulate_steps)
    if is_single and not recipe.sync_bn:
        check_single_images(model, sizes_px)
    if not source.is_known:
        check_training(model, source.name, outputs=spec.classes, sizes_px=sizes_px)
    model = model.to(world.device)
    return convert_sync_batchnorm(model, world) if recipe.sync_bn else model
