"""Fields become options, options become fields."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner, Result

from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.options import (
    Bounds,
    Command,
    Options,
    defaults_option,
    options,
    pick_fields,
    setting,
)
from pipeline.settings_file import profile_file
from pipeline.sizes import resolve_sizes
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Example:
    number: int = setting(3, "A number.")
    fraction: float | None = setting(None, "A fraction.")
    pair: tuple[float, float] = setting((0.5, 1.0), "Two of them.")
    quick: bool = setting(True, "Or not.")
    kind: Literal["a", "b"] | None = setting(None, "One of two.")


def parse(*arguments: str) -> Example:
    parsed: list[Example] = []

    @click.command()
    @options(Example)
    def command(**values: Any) -> None:
        parsed.append(pick_fields(Example, values))

    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    return parsed[0]


def test_option_defaults_are_field_defaults() -> None:
    assert parse() == Example()


def test_options_fill_the_fields() -> None:
    arguments = "--number 5 --fraction 0.25 --pair 0.1 0.2 --no-quick --kind b"
    assert parse(*arguments.split()) == Example(
        number=5, fraction=0.25, pair=(0.1, 0.2), quick=False, kind="b"
    )


def test_help_lists_options_by_section() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Sections:
        first: int = setting(1, "No section.")
        second: int = setting(2, "Begins one.", section="Later")
        third: int = setting(3, "Is in the same section.")

    @click.command(cls=Command)
    @options(Sections)
    def command(**values: Any) -> None:
        pick_fields(Sections, values)

    help_text = CliRunner().invoke(command, ["--help"]).output
    words = ("Options:", "--first", "--help", "Later:", "--second", "--third")
    assert sorted(words, key=help_text.index) == list(words)


@dataclass(frozen=True, kw_only=True)
class Renamed(Options):
    clip: float | None = setting(None, "Clip.", Bounds(above=0, below=2), aliases={"--cut": None})
    tta: str = setting("none", "Test-time augmentation.", aliases={"--flip-test": "flip"})


def test_earlier_names_are_accepted_and_hidden() -> None:
    @click.command()
    @options(Renamed)
    def command(**values: Any) -> None:
        click.echo(repr(pick_fields(Renamed, values)))

    for arguments, expected in (
        ("--cut 0.5 --flip-test", Renamed(clip=0.5, tta="flip")),
        ("--clip 0.5 --tta flip", Renamed(clip=0.5, tta="flip")),
        ("", Renamed()),
    ):
        result = CliRunner().invoke(command, arguments.split())
        assert result.output.strip() == repr(expected)
    shown = CliRunner().invoke(command, ["--help"]).output
    assert "--clip" in shown and "--cut" not in shown and "--flip-test" not in shown


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"cut": 0.5, "flip_test": True}, Renamed(clip=0.5, tta="flip")),
        ({"cut": None, "flip_test": False}, Renamed()),
        ({"clip": 1.5, "other": 1}, Renamed(clip=1.5)),
    ],
)
def test_stored_settings_may_have_earlier_names(stored: dict[str, Any], expected: Renamed) -> None:
    assert pick_fields(Renamed, stored) == expected


@pytest.mark.parametrize("value", [0.0, 2.0, -1.0, float("nan"), float("inf")])
def test_a_number_out_of_bounds_is_rejected(value: float) -> None:
    with pytest.raises(MisuseError, match="--clip must be above 0 and below 2, not "):
        Renamed(clip=value)


def run_with_presets(*arguments: str) -> Result:
    """Run a command with two options that set defaults; it prints its `Example`."""
    sizes = {"small": {"number": 1}, "large": {"number": 9, "pair": [0.5, 0.75], "quick": False}}

    @click.command()
    @profile_file
    @defaults_option("--size", sizes.__getitem__, "Size.", type=click.Choice(list(sizes)))
    @options(Example)
    def command(**values: Any) -> None:
        click.echo(repr(pick_fields(Example, values)))

    return CliRunner().invoke(command, arguments)


def test_explicit_options_override_presets(tmp_path: Path) -> None:
    """And of two presets the later one."""
    profile = tmp_path / "profile.json"
    profile.write_text('{"number": 5}')
    large = "number=9, fraction=None, pair=(0.5, 0.75), quick=False, kind=None"
    for arguments, expected in (
        ("", repr(Example())),
        ("--size large", f"Example({large})"),
        ("--quick --size large --number 2", f"Example({large})".replace("9", "2")),
        (f"--size large --profile-file {profile}", f"Example({large})".replace("9", "5")),
        (f"--profile-file {profile} --size small", repr(Example(number=1))),
    ):
        quick = "--quick" in arguments
        result = run_with_presets(*arguments.split())
        assert result.output.strip() == expected.replace("False", "True" if quick else "False")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "profile.json can't be read (No such file or directory)"),
        ("{", "profile.json is not JSON"),
        ("[1]", "profile.json is not a JSON object"),
        ('{"thread": 1, "number": 1}', "profile.json: this command has no option thread."),
        ('{"number": "many"}', "'many' is not a valid integer"),
    ],
)
def test_an_invalid_profile_is_rejected(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "profile.json"
    if text is not None:
        path.write_text(text)
    result = run_with_presets("--profile-file", str(path))
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": -1}, "--seed must be from 0"),
        ({"flip_probability": 1.5}, "--flip-probability must be from 0 to 1, not 1.5"),
        ({"crop_area": (0.5, 1.5)}, "--crop-area must be above 0 and at most 1, not 1.5"),
        ({"crop_ratio": (0.0, 1.0)}, "--crop-ratio must be above 0, not 0.0"),
        ({"rand_augment_magnitude": 31}, "--rand-augment-magnitude must be from 0 to 30, not 31"),
        ({"erase_area": (0.5, 0.1)}, "--erase-area must be two numbers in ascending order"),
        ({"mixup_alpha": 1.5}, "--mixup-alpha must be from 0 to 1, not 1.5"),
        ({"progressive_epochs": 0}, "--progressive-epochs must be at least 1, not 0"),
        ({"threads": 0}, "--threads must be at least 1, not 0"),
        ({"image_size": 64, "val_resize": 32}, "--val-resize 32 is smaller than --image-size 64"),
    ],
)
def test_invalid_values_are_rejected(values: dict[str, Any], message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        PipelineConfig(**values)


@pytest.mark.parametrize(
    ("median_px", "options", "expected"),
    [
        (8, {}, (32, 32)),
        (33, {}, (64, 64)),
        (230, {}, (224, 224)),
        (256, {}, (224, 256)),
        (4000, {}, (224, 256)),
        (4000, {"image_size": 160}, (160, 183)),
        (4000, {"image_size": 224, "val_resize": 232}, (224, 232)),
    ],
)
def test_default_sizes_depend_on_the_images(
    digits_shards: Any, median_px: int, options: dict[str, int], expected: tuple[int, int]
) -> None:
    fields = vars(Dataset(digits_shards).manifest)
    spread = (1, median_px, 9999)
    manifest = Manifest(**(fields | {"heights": spread, "widths": spread}))
    sizes = resolve_sizes(PipelineConfig(**options), manifest)
    assert (sizes.image_size_px, sizes.resize_px) == expected
