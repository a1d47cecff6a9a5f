"""Recipes are option defaults, which explicit options override."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from pipeline.options import options
from trainer.config import CONFIGS, Settings
from trainer.data_defaults import default_batch_size, default_epochs
from trainer.recipes import RECIPES, recipe_lines, recipe_option


def parse(*arguments: str) -> Settings:
    parsed_settings: list[Settings] = []

    @click.command()
    @recipe_option
    @options(*CONFIGS)
    def command(**values: Any) -> None:
        parsed_settings.append(Settings.from_options(**values))

    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    return parsed_settings[0]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fills_the_defaults(name: str) -> None:
    settings = parse("--recipe", name)
    assert settings.recipe.recipe == name
    assert RECIPES[name].items() <= settings.to_dict().items()
    assert settings == Settings.from_options(recipe=name, **RECIPES[name])
    (line,) = recipe_lines(settings)
    assert line.startswith(f"Recipe {name}: ")


def test_standard90_equals_the_defaults_for_many_samples() -> None:
    settings = parse("--recipe", "standard90")
    assert recipe_lines(settings) == [
        "Recipe standard90: --epochs 90, --global-batch-size 256, --learning-rate 0.1, "
        "--warmup-epochs 5."
    ]
    plain = Settings.from_options()
    assert settings.recipe.peak_learning_rate == plain.recipe.peak_learning_rate
    assert (default_batch_size(10**6), default_epochs(10**6)) == (256, 90)


def test_options_before_and_after_the_recipe_override_it() -> None:
    arguments = ["--epochs", "2", "--recipe", "fast16", "--progressive-resize", "64:96"]
    settings = parse(*arguments, "--global-batch-size", "64")
    assert (settings.recipe.epochs, settings.recipe.global_batch_size) == (2, 64)
    assert settings.pipeline.progressive_resize == (64, 96)
    assert settings.recipe.blurpool
    changes, overrides = recipe_lines(settings)
    assert "--schedule linear" in changes
    assert "--blurpool," in changes
    assert overrides == (
        "Overridden: --epochs 2 instead of 16, --global-batch-size 64 instead of 1024, "
        "--progressive-resize 64:96 instead of 160:192."
    )


def test_no_lines_without_a_recipe() -> None:
    assert recipe_lines(parse()) == []
