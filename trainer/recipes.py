"""Recipes (recipes.toml) as option defaults (``--recipe``); explicit options override them.
Learning rates for SGD are those of batch size 256, and scale with ``--global-batch-size``."""

import tomllib
from pathlib import Path
from typing import Any

from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.options import defaults_option, flag_of
from trainer.config import Settings
from trainer.recipe_config import RecipeConfig

# TOML has no tuples.
RECIPES: dict[str, dict[str, Any]] = {
    name: {key: tuple(value) if isinstance(value, list) else value for key, value in recipe.items()}
    for name, recipe in tomllib.loads(Path(__file__).with_name("recipes.toml").read_text()).items()
}


def read_recipe(name: str) -> dict[str, Any]:
    """The settings of a recipe by field name. Raises ``MisuseError`` for an unknown recipe."""
    if name not in RECIPES:
        raise MisuseError(f"--recipe {name}: no such recipe; choose one of {', '.join(RECIPES)}.")
    return RECIPES[name]


recipe_option = defaults_option(
    "--recipe",
    read_recipe,
    "Use a recipe as defaults, a published one, or finetune for pretrained weights; explicit "
    "options override it.",
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
    # Their defaults follow from the data.
    defaults |= {"epochs": None, "global_batch_size": None}
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
