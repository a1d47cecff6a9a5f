"""What of a run's settings Keras is told here; looked at before Keras is loaded."""

from pipeline.errors import MisuseError
from trainer.config import Settings

NETWORKS = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("wide_resnet50_2", "wide_resnet101_2"),
)


def check_settings(settings: Settings, *, task: str) -> None:
    """Raise ``MisuseError`` for what can't be; `task` is that of the shards."""
    if task != "classification":
        raise MisuseError(f"Keras trains on one class an image here; these shards are for {task}.")
    recipe, machine, pipeline = settings.recipe, settings.machine, settings.pipeline
    if recipe.model not in NETWORKS:
        raise MisuseError(
            f"Keras has its layers for torchvision's ResNets here ({', '.join(NETWORKS)}), not for "
            f"{recipe.model}: give one of them to --model."
        )
    wrong = {
        "--optimizer": recipe.optimizer != "sgd",
        "--accumulate-steps": recipe.accumulate_steps > 1,
        "--ema-decay": recipe.ema_decay is not None,
        "--blurpool": recipe.blurpool,
        "--sync-bn": recipe.sync_bn,
        "--mixup-alpha": pipeline.mixup_alpha > 0,
        "--cutmix-alpha": pipeline.cutmix_alpha > 0,
        "--progressive-resize": pipeline.progressive_resize is not None,
        "--precision fp16": machine.precision == "fp16",
        "--compile": machine.compile != "none",
        "--device cuda": machine.device == "cuda",
    }
    if asked := [flag for flag, is_asked in wrong.items() if is_asked]:
        raise MisuseError(f"Keras isn't told {', '.join(asked)} here: leave it out.")
