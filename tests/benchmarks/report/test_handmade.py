"""Results that were made by hand or damaged: bench-report refuses them by file and field."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measuring.result_file import read_bundle, seal
from benchmarks.report.inputs import read_inputs
from benchmarks.report.page import Page, Section, Table, as_html, as_markdown
from benchmarks.report.sections import build_page, require_consistent
from benchmarks.scaling.record import LOADER, SYNTHETIC, WARM
from pipeline.errors import DataError
from tests.helpers.amounts import full_or_tenth
from tests.helpers.measured_results import compute, loader, sweep, trainings
from tests.helpers.scaling_results import predicted, scaling

WRONG = (None, "text", True, -1, 0, 1e99, 10**400, [], {}, [None], "\ud800\x1b[2J")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A result of each benchmark."""
    folder = tmp_path_factory.mktemp("results")
    scaled = scaling(
        folder / "scaling.json",
        {ranks: {SYNTHETIC: 100, LOADER: 60, WARM: 105} for ranks in (1, 2)},
    )
    predicted(scaled, "--output", folder / "prediction.json")
    return [
        scaled,
        folder / "prediction.json",
        loader(folder / "loader.json", 80.0),
        compute(folder / "compute.json", 75.0),
        sweep(folder / "sweep.json", "cache", {"none": 80.0, "host": 160.0}),
        trainings(folder / "trainings.json"),
    ]


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values in JSON."""
    if path:
        yield path
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            yield from paths_in(part, (*path, key))


def changed(bundle: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """`bundle` with another value at `path`; without that entry if the value is `changed`."""
    copied = copy.deepcopy(bundle)
    owner: Any = copied
    for key in path[:-1]:
        owner = owner[key]
    if value is changed:
        del owner[path[-1]]
    else:
        owner[path[-1]] = value
    return seal({name: entry for name, entry in copied.items() if name != "sha256"})


def test_any_wrong_entry_gives_a_page_or_a_sentence(results: list[Path], tmp_path: Path) -> None:
    choice = random.Random(0)
    refused = 0
    for path in results:
        bundle = read_bundle(path)
        places = [p for p in paths_in(bundle) if p[0] not in ("sha256", "format", "version")]
        for place in choice.choices(places, k=full_or_tenth(300)):
            copied = tmp_path / path.name
            record = changed(bundle, place, choice.choice((*WRONG, changed)))
            copied.write_text(json.dumps(record))
            try:
                inputs = read_inputs([copied])
                try:
                    build_page(inputs)
                except (ArithmeticError, LookupError, TypeError, ValueError):
                    require_consistent(inputs)
                    raise
            except DataError as error:
                refused += 1
                assert error.message.startswith(str(copied)), place
    assert refused > 60


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("loader", ("median", "full"), "x", "median['full'] must be a number, not 'x'."),
        ("loader", ("threads",), 1.5, "threads must be a whole number, not 1.5."),
        ("loader", ("environment",), [], "environment must be an object, not []."),
        ("loader", ("environment", "cpus"), changed, "the entry environment.cpus is missing."),
        ("compute", ("figures",), {}, "figures has no row 'channels-last, batch 32'."),
        ("scaling", ("points",), [], "points has no rows."),
        ("scaling", ("points", 0, "mode"), "../x", "points[0].mode must be 'weak' or 'strong'"),
        (
            "scaling",
            ("points", 1, "rungs", WARM, "step_seconds"),
            [0],
            "points[1].rungs['warm files'].step_seconds must be positive numbers.",
        ),
        ("prediction", ("predictions",), [], "predictions must have 11 rows, as median has"),
        ("trainings", ("trainings", 0, "metric"), "speed", "metric must be one of top1, "),
    ],
)
def test_a_sentence_names_file_and_field(
    results: list[Path], tmp_path: Path, name: str, place: tuple[Any, ...], value: Any, message: str
) -> None:
    original = next(path for path in results if path.stem == name)
    path = tmp_path / original.name
    path.write_text(json.dumps(changed(read_bundle(original), place, value)))
    with pytest.raises(DataError) as raised:
        read_inputs([path])
    assert raised.value.message.startswith(f"{path}: {message}")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": "\\ud800"}', "NaN", "\x00"])
def test_text_that_is_no_result(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"x.json is not a result of a benchmark"):
        read_inputs([path])


def test_names_are_text_in_both_pages() -> None:
    name = "<img src=x>|\x1b[31m\u202e[a](http://b)\nend"
    table = Table(headers=["", "a"], rows=[[name, name]], words=True)
    section = Section(title=name, notes=[name], tables=[(name, table)])
    page = Page(headline=name, about=name, sections=[section], absent=name)
    markdown, html = as_markdown(page), as_html(page)
    for text in (markdown, html):
        assert "&lt;img src=x&gt;" in text and "<img" not in text
        assert "\x1b" not in text and "\u202e" not in text and "\\x1b" in text
    assert "](http" not in markdown.replace("\\](", "")
    assert r"| &lt;img src=x&gt;\|\x1b\[31m\u202e\[a\](http://b) end |" in markdown
