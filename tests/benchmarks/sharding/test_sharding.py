"""The benchmark of tools/shard: equal work for all, and correct ratios; no test asserts a time."""

import json
import subprocess
import sys
import tarfile
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.datasets.downloads import link_images, make_pixel_csv
from benchmarks.measuring.alternate import alternate
from benchmarks.measuring.targets import Target
from benchmarks.measuring.text import figure
from benchmarks.measuring.virtualenvs import (
    DEFAULT_FOLDER,
    Virtualenv,
    installed_versions,
    prepare_peers,
)
from benchmarks.sharding import candidates
from benchmarks.sharding.__main__ import main
from benchmarks.sharding.bare_programs import list_sources, recode
from benchmarks.sharding.candidates import Download, run_all
from benchmarks.sharding.comparisons import PEERS, REENCODE
from benchmarks.sharding.parts import PARTS
from benchmarks.sharding.process_cost import CommandFailedError, measure
from pipeline.errors import DataError
from tests.helpers.data import make_shards
from tests.helpers.sharding_benchmark import TINY, ran, record_of

BARE = {
    "reencode": "cv2 recode, 2 processes",
    "shrink": "cv2 decode in full, resize, encode, 2 processes",
    "pngs": "cv2 recode, 2 processes",
    "workers": "tools/shard, 1 worker",
    "keep": "cv2 decode, 2 processes",
    "header": "shutil.copyfile, 2 processes",
    "pixels": "pyarrow.csv reading alone",
}


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warm-up round: the figures don't matter."""
    monkeypatch.setattr(candidates, "alternate", partial(alternate, warmup=0))


@pytest.fixture(scope="session")
def peers() -> Virtualenv:
    if not set(PEERS) <= installed_versions(DEFAULT_FOLDER).keys():
        pytest.skip("needs the peers' virtualenv, which benchmarks.sharding creates")
    return prepare_peers(DEFAULT_FOLDER, list(PEERS))


@pytest.mark.parametrize(("part", "bare"), BARE.items())
@pytest.mark.long
def test_a_part_compares_the_tool_with_a_bare_program(
    digits_kaggle: Path, cold: None, part: str, bare: str
) -> None:
    result = ran("--src", str(digits_kaggle), "--part", part, "--runs", "2", "--no-peers", *TINY)
    record = record_of(result)
    tool = "tools/shard, 2 workers"
    assert {bare, tool} <= record["median"].keys() and not record["absent"]
    assert all(len(values) == 2 for values in record["values"].values())
    (target,) = record["bars"]
    assert target["of"] == bare
    assert target["value"] == record["median"][tool] / record["median"][bare]
    sentence = f"Target at least {target['bound']:g} times {bare}: {target['value']:.2f}, "
    assert sentence in result.output
    if bare in record["work_alone"]:
        assert record["work_alone"][bare] > record["median"][bare]
        assert target["strict"] == record["median"][tool] / record["work_alone"][bare]
    for rate in record["median"].values():
        assert figure(rate) in result.output


@pytest.mark.parametrize("part", ["memory-files", "memory-rows"])
@pytest.mark.long
def test_memory_has_a_row_for_each_size(digits_kaggle: Path, part: str) -> None:
    record = record_of(ran("--src", str(digits_kaggle), "--part", part, *TINY))
    sizes = [int(name.split()[0].replace(",", "")) for name in record["median"]]
    assert sizes == [4, 40, 400, 4000]
    peaks = list(record["median"].values())
    growths = [after / before for before, after in pairwise(peaks)]
    assert [target["value"] for target in record["bars"]] == growths
    for name, peak in record["median"].items():
        assert 20 < record["without_files"][name] < peak


@pytest.mark.long
@pytest.mark.parametrize(("part", "targets"), [("reencode", 2), ("small", 2)])
def test_peers_do_the_same_work(
    peers: Virtualenv, digits_kaggle: Path, cold: None, part: str, targets: int
) -> None:
    record = record_of(ran("--src", str(digits_kaggle), "--part", part, "--runs", "1", *TINY))
    assert set(PEERS.values()) < record["median"].keys() and not record["absent"]
    assert record["peers"].keys() > PEERS.keys() and len(record["bars"]) == targets
    assert all(record["written_bytes"][name] > 1000 for name in PEERS.values())
    if part == "reencode":
        fastest = max(PEERS.values(), key=record["median"].__getitem__)
        assert record["bars"][1]["of"] == fastest
    else:
        written = [record["written_bytes"][n] for n in ("tools/shard, 2 workers", *PEERS.values())]
        assert record["bars"][1]["value"] == written[0] / written[1]


@pytest.mark.long
def test_litdata_keeps_files_of_other_programs(
    peers: Virtualenv, digits_kaggle: Path, tmp_path: Path
) -> None:
    """By default it empties "data" in the temporary folder."""
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    (scratch / "data").mkdir(parents=True)
    (scratch / "data" / "precious").touch()
    src = link_images(digits_kaggle, tmp_path / "images", 10)
    arguments = ("benchmarks.sharding.peer_writers", "litdata", "keep", str(src), str(out))
    measure(peers.command(*arguments), environment=peers.variables(scratch))
    assert (out / "index.json").exists()
    assert [path.name for path in scratch.rglob("*")] == ["data", "precious"]


@pytest.mark.long
def test_a_peer_that_cannot_be_installed_is_reported(
    digits_kaggle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    where = ("--src", str(digits_kaggle), "--environment", str(tmp_path / "peers"))
    result = ran(*where, "--part", "reencode", "--runs", "1", *TINY)
    record = json.loads(result.output.splitlines()[-1])
    assert record["absent"].keys() == set(PEERS.values())
    assert record["median"].keys() == {BARE["reencode"], "tools/shard, 2 workers"}
    for name in PEERS.values():
        assert f"{name}: not installed: ERROR: " in result.output


@pytest.mark.long
def test_a_peer_that_fails_is_skipped(digits_kaggle: Path, tmp_path: Path) -> None:
    """In our own virtualenv, which has webdataset only."""
    src = link_images(digits_kaggle, tmp_path / "images", 10)
    download = Download(src=src, amount=10, scratch=tmp_path)
    webdataset, litdata = (
        download.peer(peer, peer, "keep", Virtualenv()) for peer in ("webdataset", "litdata")
    )
    assert run_all([webdataset, litdata], runs=2) == [webdataset]
    assert webdataset.measurement and len(webdataset.measurement.values) == 2
    assert webdataset.written_bytes > 10 * 4 * 512 and not webdataset.failure
    assert "No module named 'litdata'" in litdata.failure


def test_a_tool_that_fails_stops_the_benchmark(tmp_path: Path) -> None:
    download = Download(src=tmp_path / "nowhere", amount=1, scratch=tmp_path)
    with pytest.raises(DataError, match=r"tools/shard, 1 worker failed: .*nowhere"):
        download.tool(workers=1)()


def test_the_bare_program_encodes_as_the_tool(digits_kaggle: Path, tmp_path: Path) -> None:
    src = link_images(digits_kaggle, tmp_path / "images", 40)
    shards = make_shards(src, tmp_path / "shards", *REENCODE)
    stored = set()
    for path in shards.glob("*.tar"):
        with tarfile.open(path) as tar:
            stored |= {
                tar.extractfile(member).read()  # type: ignore[union-attr]
                for member in tar
                if member.name.endswith(".jpg")
            }
    assert stored == {recode(path) for path, _ in list_sources(str(src))}


def test_downloads_have_the_requested_size(digits_kaggle: Path, tmp_path: Path) -> None:
    src = link_images(digits_kaggle, tmp_path / "images", 2000)
    labels = [label for _, label in list_sources(str(src))]
    assert (labels.count(0), labels.count(1)) == (1000, 1000)
    original = next(digits_kaggle.rglob("*.png"))
    assert original.stat().st_nlink == 1
    table = make_pixel_csv(tmp_path / "pixels", 2000, 8) / "train.csv"
    lines = table.read_text().splitlines()
    assert len(lines) == 2001 and {line.count(",") for line in lines} == {64}


def test_a_folder_without_images_is_rejected(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--src", str(tmp_path), "--part", "keep"])
    assert result.exit_code == 1
    assert f"{tmp_path} has no images" in result.output


def test_the_cpu_time_of_all_processes_counts() -> None:
    """Also that of a process that outlives its parent."""
    orphan = "import time\nwhile time.process_time() < 0.3: pass\nprint('late')"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {orphan!r}])"
    cost = measure([sys.executable, "-c", parent])
    assert cost.cpu_seconds >= 0.3
    assert cost.output == "late\n"
    assert cost.peak_bytes == 0


def test_the_memory_of_children_counts() -> None:
    child = "import time; held = bytearray(200 * 2**20); time.sleep(1)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    cost = measure([sys.executable, "-c", parent], memory=True)
    assert 200 * 2**20 < cost.peak_own_bytes < cost.peak_bytes < 260 * 2**20


def test_a_failed_command_reports_its_last_line() -> None:
    with pytest.raises(CommandFailedError, match="no, thanks"):
        measure([sys.executable, "-c", "import sys; sys.exit('no, thanks')"])


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (Target(of="x", bound=0.95, value=0.934), "Target at least 0.95 times x: 0.93, missed."),
        (Target(of="x", bound=3, value=3.2), "Target at least 3 times x: 3.20, met."),
        (
            Target(of="x", bound=0.75, value=0.8, at_most=True),
            "Target at most 0.75 times x: 0.80, missed.",
        ),
        (
            Target(of="x", bound=0.5, value=0.6, strict=0.55),
            "Target at least 0.5 times x: 0.60, met; 0.55 times its work without start.",
        ),
    ],
)
def test_a_target_as_a_sentence(target: Target, sentence: str) -> None:
    assert str(target) == sentence


def test_every_part_is_tested() -> None:
    assert PARTS.keys() == BARE.keys() | {"small", "duplicates", "memory-files", "memory-rows"}


def test_help_measures_nothing() -> None:
    command = [sys.executable, "-m", "benchmarks.sharding", "--help"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--part" in run.stdout
