"""The settings of a run that Keras does not support; checked before Keras is loaded."""

from pipeline.errors import MisuseError
from trainer.config import Settings

NETWORKS = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("wide_resnet50_2", "wide_resnet101_2"),
)


def check_settings(settings: Settings, *, task: str) -> None:
    """Raise ``MisuseError`` for settings, or shards of a `task`, that Keras does not support."""
    if task != "classification":
        raise MisuseError(f"Keras supports classification only: these shards are for {task}.")
    recipe, machine, pipeline = settings.recipe, settings.machine, settings.pipeline
    if recipe.model not in NETWORKS:
        raise MisuseError(
            f"--model {recipe.model} is not supported with Keras: give one of "
            f"{', '.join(NETWORKS)}."
        )
    unsupported = {
        "--optimizer": recipe.optimizer != "sgd",
        "--accumulate-steps": recipe.accumulate_steps != 1,
        "--ema-decay": recipe.ema_decay is not None,
        "--blurpool": recipe.blurpool,
        "--class-weights": recipe.class_weights is not None,
        "--freeze-backbone-epochs": recipe.freeze_backbone_epochs > 0,
        "--backbone-lr-factor": recipe.backbone_lr_factor != 1,
        "--layer-decay": recipe.layer_decay is not None,
        "--drop-path": recipe.drop_path is not None,
        "--loss": recipe.loss not in ("auto", "cross-entropy"),
        "--sync-bn": recipe.sync_bn,
        "--mixup-alpha": pipeline.mixup_alpha > 0,
        "--cutmix-alpha": pipeline.cutmix_alpha > 0,
        "--progressive-resize": pipeline.progressive_resize is not None,
        "--precision fp16": machine.precision == "fp16",
        "--compile": machine.compile != "none",
        "--device cuda": machine.device == "cuda",
    }
    if flags := [flag for flag, is_set in unsupported.items() if is_set]:
        verb = "is" if len(flags) == 1 else "are"
        raise MisuseError(f"{', '.join(flags)} {verb} not supported with Keras.")
