"""bench-report: one page of results and runs, checked in a browser."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.loader.config import AUGMENT, COLD, DECODE, FULL, HAND_OVER, READ
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.result_file import BY_STAGE, COMPUTE, SWEEP, TRAININGS
from benchmarks.measuring.table import report
from benchmarks.report.__main__ import main
from benchmarks.report.inputs import read_inputs
from benchmarks.report.page import Page
from benchmarks.report.panels import Panel, as_svg
from benchmarks.report.sections import build_page
from benchmarks.scaling.record import COLD as COLD_FILES
from benchmarks.scaling.record import LOADER, LOCKSTEP, NO_ALL_REDUCE, SYNTHETIC, WARM
from tests.helpers.cli import invoke
from tests.helpers.run_records import records, write
from tests.helpers.scaling_results import predicted, scaling

STAGES = {READ: 0.1, DECODE: 0.6, AUGMENT: 0.2, HAND_OVER: 0.05, FULL: 0.05}


def measured(
    path: Path, rates: Mapping[str, float], *, kind: str = "another", **facts: Any
) -> Path:
    """A result as a benchmark writes it."""
    rows = [
        Measurement(name=name, values=(rate, 1.02 * rate, 0.99 * rate))
        for name, rate in rates.items()
    ]
    report(path.stem, "images/s", rows, kind=kind, facts=facts, output=str(path))
    return path


def loader(path: Path, full: float, *, threads: int = 8, **facts: Any) -> Path:
    """A result of bench-loader with `full` images/s."""
    rates = {name: 10 * full - index * 2.25 * full for index, name in enumerate(STAGES)}
    return measured(
        path,
        rates | {COLD[FULL]: full / 2},
        kind=BY_STAGE,
        threads=threads,
        share_of_time=STAGES,
        settings={"sweep": None},
        **facts,
    )


def compute(path: Path, rate: float) -> Path:
    return measured(
        path,
        {"channels-last, batch 32": rate / 2, "channels-last, batch 64": rate},
        kind=COMPUTE,
        world_size=1,
        figures={f"channels-last, batch {size}": {"mfu": 0.5} for size in (32, 64)},
        settings={"model": "resnet50"},
    )


def sweep(path: Path, name: str, rates: Mapping[str, float]) -> Path:
    return measured(path, rates, kind=SWEEP, settings={"sweep": name}, threads=8, split_bytes=1000)


def trainings(path: Path) -> Path:
    """Trainings, the second without evaluations."""
    common = {"global_batch_size": 64, "seconds": 75.0, "epochs": 2.0, "metric": "top1"}
    rates = {"strong, 1 rank": 100.0, "strong, 2 ranks": 180.0}
    scores = (0.75, None)
    rows = [
        {**common, "images_per_second": rate, "final": score, "best": score}
        for rate, score in zip(rates.values(), scores, strict=True)
    ]
    return measured(path, rates, kind=TRAININGS, trainings=rows)


def build(*paths: Path) -> Page:
    return build_page(read_inputs(paths))


@pytest.fixture(scope="module")
def full_page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The page of a result of each benchmark, a sweep, and two runs: its folder, and what was
    printed."""
    tmp_path = tmp_path_factory.mktemp("full_page")
    by_ranks = {
        1: {SYNTHETIC: 100, LOADER: 60, WARM: 105, COLD_FILES: 150},
        2: {
            SYNTHETIC: 110,
            LOADER: 70,
            WARM: 120,
            NO_ALL_REDUCE: 101,
            LOCKSTEP: 102,
            COLD_FILES: 180,
        },
    }
    scaled = scaling(tmp_path / "scaling.json", by_ranks)
    predicted(scaled, "--output", tmp_path / "prediction.json")
    inputs = (
        loader(tmp_path / "loader.json", 80.0),
        compute(tmp_path / "compute.json", 75.0),
        scaled,
        tmp_path / "prediction.json",
        sweep(tmp_path / "cache.json", "cache", {"cache none": 80.0, "cache host": 160.0}),
        trainings(tmp_path / "trainings.json"),
        measured(tmp_path / "race.json", {"a": 1.0, "b": 2.0}),
        write(tmp_path / "a<b", records(seconds=2.0, top1=0.8)),
        write(tmp_path / "slow", records(seconds=4.0, top1=0.6)),
    )
    result = invoke(main, *inputs, "--out", tmp_path / "report")
    assert result.exit_code == 0, result.output
    return tmp_path / "report", result.output


def test_a_page_of_everything(full_page: tuple[Path, str]) -> None:
    folder, printed = full_page
    assert "Not included" not in printed
    headline, *_ = printed.splitlines()
    assert headline.startswith("On 2 ranks compute-bound: computing takes 84% of the step;")
    markdown = (folder / "report.md").read_text()
    html = (folder / "report.html").read_text()
    assert markdown.startswith(f"# {headline}\n")
    titles = re.findall(r"<h2>(.*)</h2>", html)
    assert re.findall(r"^## (.*)$", markdown, re.MULTILINE) == titles
    pictures = re.findall(r"\]\((.*)\.png\)", markdown)
    assert pictures == re.findall(r'id="([\w-]*)-figure_1"', html)
    for name in pictures:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "2 ranks are 1.75 times as fast as 1 (weak scaling)" in html
    assert "Efficiency at 2 ranks is 88%; the largest loss is communication (7%)" in html
    assert "cache host: 160.0 images/s" in html
    assert "| strong, 1 rank | 64 | 1:15 | 2.00 | 100.0 | 75.00% | 75.00% |" in markdown
    assert "| strong, 2 ranks | 64 | 1:15 | 2.00 | 180.0 | - | - |" in markdown
    assert titles[-2:] == ["Other measurements", "Machine, versions and commands"]
    assert "a&lt;b" in html and "a<b" not in html
    assert "Top-1 of 75% after 0:40 (a&lt;b); not reached by slow" in html


def test_the_page_is_self_contained(full_page: tuple[Path, str]) -> None:
    """No script, no address except the XML namespaces, no duplicate id."""
    html = (full_page[0] / "report.html").read_text()
    addresses = set(re.findall(r"\w+://[^\"'\s)]*", html))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "<script" not in html and "@import" not in html
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', html)) <= set(ids)
    assert html.count("currentColor") > 100 and "#010203" not in html


def test_a_browser_shows_it(full_page: tuple[Path, str], tmp_path: Path) -> None:
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next((path for name in names if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"needs a browser: {', '.join(names)}")
    path = full_page[0] / "report.html"
    document, complaints, requests = open_in_browser(browser, path, tmp_path)
    assert not complaints and requests == 0
    html = path.read_text()
    for tag in ("<svg", "<table", "<h2", "<h3", "<details"):
        assert document.count(tag) == html.count(tag) > 0
    # The check finds errors and requests.
    broken = tmp_path / "broken.html"
    broken.write_text('<img src="http://example.com/x.png"><script>missing()</script>')
    _, complaints, requests = open_in_browser(browser, broken, tmp_path)
    assert len(complaints) == 1 and "missing is not defined" in complaints[0]
    assert requests == 1


def open_in_browser(browser: str, path: Path, folder: Path) -> tuple[str, list[str], int]:
    """The document in the browser, its errors, and the number of its requests to
    the network, which is unreachable."""
    log = folder / "network.json"
    headless = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'user'}")
    no_network = ("--host-resolver-rules=MAP * ~NOTFOUND", f"--log-net-log={log}")
    done = subprocess.run(
        [browser, *headless, *no_network, "--enable-logging=stderr", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    # The browser's own requests have no initiator.
    origins = re.findall(r'"initiator":"([^"]*)"', log.read_text())
    return done.stdout, complaints, sum(origin != "not an origin" for origin in origins)


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


def test_a_folder_of_results_and_runs(tmp_path: Path) -> None:
    loader(tmp_path / "loader.json", 100.0)
    write(tmp_path / "run", records(seconds=2.0))
    inputs = read_inputs([tmp_path])
    assert [result.name for result in inputs.results] == ["loader"]
    assert [run.name for run in inputs.runs] == ["run"]
    assert "loader.json is unchanged" in invoke(main, "--verify", tmp_path).output


def test_loader_and_model_without_a_training(tmp_path: Path) -> None:
    built = build(loader(tmp_path / "loader.json", 900.0), compute(tmp_path / "compute.json", 12.0))
    assert built.headline == (
        "Compute-bound: the model trains at 12.00 images/s, the loader gives 900.0, 75 times as "
        "many."
    )
    assert built.sections[0].panels[0].title == (
        "The model gives 12.00 images/s, the loader 75 times as many"
    )


def edited(path: Path) -> Path:
    bundle = json.loads(path.read_text())
    bundle["median"][FULL] *= 2
    path.write_text(json.dumps(bundle))
    return path


def test_edited_results_are_rejected(tmp_path: Path) -> None:
    sound, faked = loader(tmp_path / "a.json", 100.0), edited(loader(tmp_path / "b.json", 100.0))
    result = invoke(main, "--verify", sound)
    assert result.exit_code == 0 and f"{sound} is unchanged: " in result.output
    result = invoke(main, "--verify", faked, sound)
    assert result.exit_code == 1
    assert f"{faked} was edited or damaged after it was measured" in result.output
    assert f"{sound} is unchanged" in result.output
    assert "1 of 2 inputs are invalid." in result.output
    result = invoke(main, sound, faked, "--out", tmp_path / "report")
    assert result.exit_code == 1 and "was edited or damaged" in result.output
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        ((), 2, "Missing argument 'RESULTS...'"),
        (("none.json",), 1, "none.json can't be read"),
        (("empty",), 1, "empty holds no run"),
        (("--verify", "empty", "run"), 1, "1 of 2 inputs are invalid"),
        (("run", "run"), 2, "A run is given twice"),
        (("run", "--out", "run/metrics.jsonl"), 1, "run/metrics.jsonl can't be written"),
    ],
)
def test_bench_report_rejects(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    exit_code: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    write(Path("run"), records(seconds=1.0))
    result = invoke(main, *arguments)
    assert result.exit_code == exit_code, result.output
    assert sentence in " ".join(result.output.split())


def test_a_panel_gives_the_same_svg_again() -> None:
    panel = Panel(
        name="x", title="A line", description='a "line"', draw=lambda axes: axes.plot([1, 2])
    )
    svg = as_svg(panel)
    assert svg == as_svg(panel)
    assert svg.startswith('<svg role="img" aria-label="a &#34;line&#34;"')
    assert 'width="' not in svg.partition(">")[0]
