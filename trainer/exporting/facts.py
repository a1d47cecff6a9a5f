"""What an exported file says about its network: plain data, which is stored in it as JSON."""

from pathlib import Path
from typing import Any

from pipeline.versions import installed_version
from trainer.model.sources.source import Constructor
from trainer.tasks.regression import Regression
from trainer.tasks.tasks import task_record
from trainer.trained_run import TrainedRun

# The name of the facts in the metadata of each format.
KEY = "shardline.json"
# Names of the input and the output.
INPUT = "images"
# As Classifier raises deviations.
_MIN_STD = 1 / 255


def export_facts(
    run: TrainedRun, checkpoint: Path, constructor: Constructor | None
) -> dict[str, Any]:
    """What all formats say: task, classes, how images are prepared, where the weights are from.

    `mean` and `std` are in fractions of 255, per channel of `channels`.
    """
    record, pipeline = task_record(run.task), run.pipeline
    names = "classes" if "classes" in record else "targets"
    stored = run.model_file
    library = constructor.function.partition(".")[0] if constructor else "torchvision"
    packages = dict.fromkeys(("shardline", "torch", "torchvision", library))
    return {
        "task": record["task"],
        names: list(record[names]),
        "output": "predictions" if isinstance(run.task, Regression) else "logits",
        "image_size_px": run.data.image_size_px,
        "resize_px": pipeline.val_resize or run.data.image_size_px,
        "interpolation": pipeline.resolved_interpolation,
        "crop": "center",
        "channels": "RGB",
        "layout": "BCHW",
        "mean": list(run.data.mean),
        "std": [max(std, _MIN_STD) for std in run.data.std],
        "model": f"{stored.file}:{stored.function}" if stored else run.settings.recipe.model,
        "constructor": None if constructor is None else constructor.function,
        "arguments": None if constructor is None else dict(constructor.arguments),
        "weights": "averaged" if run.settings.recipe.ema_decay else "trained",
        "checkpoint": checkpoint.name,
        "versions": {name: installed_version(name) for name in packages},
    }


def input_facts(*, is_float: bool, any_size: bool) -> dict[str, Any]:
    """What a file says that normalizes images itself, and has an input type."""
    return {
        "input": INPUT,
        "dtype": "float32" if is_float else "uint8",
        "value_range": [0, 1] if is_float else [0, 255],
        "any_size": any_size,
        "normalizes": True,
    }


def weights_facts(run: TrainedRun) -> dict[str, Any]:
    """What a file of weights says, whose network takes normalized images; outputs of a regression
    are (targets - `target_means`) / `target_stds`."""
    facts = {"dtype": "float32", "normalizes": False}
    if not isinstance(run.task, Regression):
        return facts
    moments = {"target_means": list(run.task.means), "target_stds": list(run.task.stds)}
    return facts | moments
