"""Published recipes as option defaults (``--recipe``); explicit options override them.

Learning rates are for batch size 256 and scale with ``--global-batch-size``.
"""

from typing import Any

from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.options import defaults_option, flag_of
from trainer.config import RecipeConfig, Settings

# FFCV's rn50_16_epochs.yaml, 73.8 % top-1 on ImageNet according to its authors
# (https://github.com/libffcv/ffcv-imagenet): 8 ranks of 512 with a rate of 1.7 make 0.106 at 256.
# Trained at 160 px, at 192 from epoch 12 on, tested at 256. That figure excludes test-time flips.
FAST16 = {
    "epochs": 16.0,
    "global_batch_size": 1024,
    "optimizer": "sgd",
    "learning_rate": 0.106,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "label_smoothing": 0.1,
    "schedule": "linear",
    "warmup_epochs": 2.0,
    "blurpool": True,
    "image_size": 256,
    "val_resize": 293,
    "progressive_resize": (160, 192),
    "progressive_epochs": 12,
    "crop_area": (0.08, 1.0),
    "flip_probability": 0.5,
}

# Goyal et al. 2017, arXiv:1706.02677 (rate, warm-up, decay, zero gammas), with the cosine, the
# label smoothing and the undecayed norms and biases of He et al. 2019, arXiv:1812.01187.
STANDARD90 = {
    "epochs": 90.0,
    "global_batch_size": 256,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "label_smoothing": 0.1,
    "schedule": "cosine",
    "warmup_epochs": 5.0,
    "crop_area": (0.08, 1.0),
    "flip_probability": 0.5,
}

# torchvision's IMAGENET1K_V2, 80.9 % according to its authors (https://pytorch.org/blog/
# how-to-train-state-of-the-art-models-using-torchvision-latest-primitives/): a rate of 0.5 at 1024.
# Its average moves every 32 steps by 1 - 0.99998 times 1024 * 32 / 600, which is 3.4e-5 a step.
# Without its repeated augmentation, since MixUp of a batch here must not mix an image with itself.
# It trains at 176 px, here at the next multiple of 32, and tests at 224.
STRONG = STANDARD90 | {
    "epochs": 600.0,
    "global_batch_size": 1024,
    "learning_rate": 0.125,
    "weight_decay": 2e-5,
    "ema_decay": 0.999966,
    "image_size": 224,
    "val_resize": 232,
    "progressive_resize": (192, 192),
    "auto_augment": "trivial",
    "erase_probability": 0.1,
    "mixup_alpha": 0.2,
    "cutmix_alpha": 1.0,
}

RECIPES: dict[str, dict[str, Any]] = {"fast16": FAST16, "standard90": STANDARD90, "strong": STRONG}


def read_recipe(name: str) -> dict[str, Any]:
    """The settings of a recipe by field name. Raises ``MisuseError`` for an unknown recipe."""
    if name not in RECIPES:
        raise MisuseError(f"--recipe {name}: no such recipe; choose one of {', '.join(RECIPES)}.")
    return RECIPES[name]


recipe_option = defaults_option(
    "--recipe",
    read_recipe,
    "Use a published recipe as defaults; explicit options override it.",
    metavar="|".join(RECIPES),
    expose_value=True,
)


def recipe_lines(settings: Settings) -> list[str]:
    """What the recipe of a run changes in the option defaults, and which explicit options override
    it; empty without a recipe."""
    name = settings.recipe.recipe
    if name is None:
        return []
    recipe, actual = read_recipe(name), settings.to_dict()
    defaults = vars(RecipeConfig()) | vars(PipelineConfig())
    changes = [_flag(field, value) for field, value in recipe.items() if value != defaults[field]]
    overrides = [
        f"{_flag(field, actual[field])} instead of {_format(value)}"
        for field, value in recipe.items()
        if actual[field] != value
    ]
    lines = [f"Recipe {name}: {', '.join(changes) or 'the defaults'}."]
    return lines + ([f"Overridden: {', '.join(overrides)}."] if overrides else [])


def _flag(field: str, value: Any) -> str:
    flag = flag_of(field)
    return flag if value is True else f"{flag} {_format(value)}"


def _format(value: Any) -> str:
    if isinstance(value, tuple):
        return ":".join(map(_format, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
