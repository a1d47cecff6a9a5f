"""Recipes are defaults of options that exist; what is typed wins."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from pipeline.options import options
from trainer.config import CONFIGS, Settings
from trainer.recipes import RECIPES, recipe_lines, recipe_option


def parsed(*arguments: str) -> Settings:
    taken: list[Settings] = []

    @click.command()
    @recipe_option
    @options(*CONFIGS)
    def command(**values: Any) -> None:
        taken.append(Settings.from_options(**values))

    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    return taken[0]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fills_the_defaults(name: str) -> None:
    settings = parsed("--recipe", name)
    assert settings.recipe.recipe == name
    assert RECIPES[name].items() <= settings.to_dict().items()
    assert settings == Settings.from_options(recipe=name, **RECIPES[name])
    (line,) = recipe_lines(settings)
    assert line.startswith(f"Recipe {name}: ")


def test_the_standard_is_that_of_the_defaults() -> None:
    settings = parsed("--recipe", "standard90")
    assert recipe_lines(settings) == ["Recipe standard90: --warmup-epochs 5."]


def test_what_is_typed_wins_before_and_behind() -> None:
    arguments = ["--epochs", "2", "--recipe", "fast16", "--progressive-resize", "64:96"]
    settings = parsed(*arguments, "--global-batch-size", "64")
    assert (settings.recipe.epochs, settings.recipe.global_batch_size) == (2, 64)
    assert settings.pipeline.progressive_resize == (64, 96)
    assert settings.recipe.blurpool
    page, typed = recipe_lines(settings)
    assert "--schedule linear" in page
    assert "--blurpool," in page
    assert typed == (
        "But --epochs 2 instead of 16, --global-batch-size 64 instead of 1024, "
        "--progressive-resize 64:96 instead of 160:192."
    )


def test_without_a_recipe_nothing_is_said() -> None:
    assert recipe_lines(parsed()) == []


def test_an_unknown_recipe_is_refused() -> None:
    from trainer.__main__ import main

    result = CliRunner().invoke(main, ["--recipe", "quick"])
    assert result.exit_code == 2
    assert "--recipe quick: there is none of that name, but fast16, standard90" in result.output
