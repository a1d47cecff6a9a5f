"""The first sentence of bench-report, and the sections of a part of the results."""

import json
from pathlib import Path

import pytest

from benchmarks.report.inputs import read_inputs
from benchmarks.report.page import Page
from benchmarks.report.sections import build_page
from tests.helpers.measured_results import compute, loader, sweep
from tests.helpers.run_records import records, write


def build(*paths: Path) -> Page:
    return build_page(read_inputs(paths))


CACHE = {"cache none": 100.0, "cache host": 150.0}
FORMATS = {"as it is": 100.0, "JPEG q90, 256 px": 200.0, "PNG": 40.0}


@pytest.mark.parametrize(
    ("threads", "remedies"),
    [
        (
            1,
            "more than 1 thread (this machine has 1 core) or shards with `--encode jpeg "
            "--shortest-side`",
        ),
        (8, "more than 10 threads or shards with `--encode jpeg --shortest-side`"),
    ],
)
def test_the_headline_names_remedies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, remedies: str
) -> None:
    monkeypatch.setattr("benchmarks.measuring.provenance.available_cores", lambda: 2 * threads - 1)
    model = compute(tmp_path / "compute.json", 5600.0)
    built = build(loader(tmp_path / "loader.json", 4100.0, threads=threads), model)
    sentence = "Input-bound: the loader gives 4,100 images/s, the model trains at 5,600; remedies: "
    assert built.headline == f"{sentence}{remedies}."


def test_sweeps_are_remedies(tmp_path: Path) -> None:
    results = [loader(tmp_path / "loader.json", 100.0), compute(tmp_path / "compute.json", 150.0)]
    sweeps = [
        sweep(tmp_path / "cache.json", "cache", CACHE),
        sweep(tmp_path / "format.json", "format", FORMATS),
    ]
    assert build(*results, *sweeps).headline.endswith(
        "or `--cache host` (1.5 times the rate) or shards stored as JPEG q90, 256 px (2 times the "
        "rate)."
    )
    slower = sweep(tmp_path / "cache.json", "cache", CACHE | {"cache host": 90.0})
    assert "--cache" not in build(*results, slower).headline


def test_a_page_of_a_part_of_the_results(tmp_path: Path) -> None:
    path = loader(tmp_path / "loader.json", 100.0)
    built = build(path)
    assert [section.title for section in built.sections] == [
        "Loader",
        "Machine, versions and commands",
    ]
    assert built.absent == (
        "Not included: the model (bench-compute), scaling (bench-scaling), a "
        "prediction (bench-predict), time to accuracy (the folder of a run)."
    )
    finding = json.loads(path.read_text())["finding"]
    assert built.headline == finding[0].upper() + finding[1:]
    run = build(write(tmp_path / "run", records(seconds=2.0)))
    assert [section.title for section in run.sections] == ["Training runs"]
    assert run.headline == "Input-bound: run waits for data 20% of the time (4.000 images/s)."


def test_loader_and_model_without_a_training(tmp_path: Path) -> None:
    built = build(loader(tmp_path / "loader.json", 900.0), compute(tmp_path / "compute.json", 12.0))
    assert built.headline == (
        "Compute-bound: the model trains at 12.00 images/s, the loader gives 900.0, 75 times as "
        "many."
    )
    assert built.sections[0].panels[0].title == (
        "The model gives 12.00 images/s, the loader 75 times as many"
    )
