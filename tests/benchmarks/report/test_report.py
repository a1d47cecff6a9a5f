"""bench-report: one page of results and runs, checked in a browser."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.loader.config import FULL
from benchmarks.report.__main__ import main
from benchmarks.report.inputs import read_inputs
from benchmarks.report.panels import Panel, as_svg
from benchmarks.scaling.record import COLD as COLD_FILES
from benchmarks.scaling.record import LOADER, LOCKSTEP, NO_ALL_REDUCE, SYNTHETIC, WARM
from tests.helpers.cli import invoke
from tests.helpers.measured_results import compute, loader, measured, sweep, trainings
from tests.helpers.run_records import records, write
from tests.helpers.scaling_results import predicted, scaling


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


def test_a_folder_of_results_and_runs(tmp_path: Path) -> None:
    loader(tmp_path / "loader.json", 100.0)
    write(tmp_path / "run", records(seconds=2.0))
    inputs = read_inputs([tmp_path])
    assert [result.name for result in inputs.results] == ["loader"]
    assert [run.name for run in inputs.runs] == ["run"]
    assert "loader.json is unchanged" in invoke(main, "--verify", tmp_path).output


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
        (("--verify", "empty", "run"), 1, "1 of 2 inputs are invalid"),
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
