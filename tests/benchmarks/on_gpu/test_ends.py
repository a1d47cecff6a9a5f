"""However a part ends, its line, the lines of the others and the tables are there."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measuring.provenance import ROOT
from benchmarks.measuring.result_file import seal
from benchmarks.on_gpu import __main__ as command_module
from benchmarks.on_gpu import part_process, results
from benchmarks.on_gpu.command_runs import environment
from benchmarks.on_gpu.config import GpuRun
from benchmarks.on_gpu.part_process import FIRST_LINES, LAST_LINES, Ended, Log
from benchmarks.on_gpu.parts import Part, select
from benchmarks.on_gpu.tables import tables
from tests.helpers.cli import invoke

RESULT = {
    "benchmark": "A title",
    "unit": "images/s",
    "finding": "Fast.",
    "kind": "one",
    "rows": {},
    "median": {"a": 2.0, "b": 4.0},
    "values": {"a": [1.0, 2.0, 3.0], "b": [4.0, 4.0, 4.0]},
    "figures": {"a": {"cores_used": 1.5}, "b": {"cores_used": None}},
}
MEASURES = f"""
import sys, pathlib
pathlib.Path(sys.argv[1]).write_text({json.dumps(seal(RESULT))!r})
print("measured")
"""
# How a part ends -> its code, and the outcome in its line.
ENDS = {
    "crash": ("import os; os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
    "kill": ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    "error": ("raise ValueError('why')", "exit code 1"),
    "hang": ("import time; print('one', flush=True); time.sleep(60)", "stopped after 2 s"),
    "deaf": (
        "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)",
        "stopped after 2 s",
    ),
}


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Name -> code of the parts that the command has."""
    codes = {"first": MEASURES, "second": MEASURES, "third": MEASURES}

    def chosen(config: GpuRun) -> list[Part]:
        limits = {name: 20 if codes[name] == MEASURES else 2 for name in codes}
        return [
            Part(name=name, group="compute", limit_seconds=limits[name], run=lambda *_: None)
            for name in codes
        ]

    def command(part: Part, config: GpuRun) -> list[str]:
        return [sys.executable, "-c", codes[part.name]]

    monkeypatch.setattr(part_process, "END_SECONDS", 0.5)
    monkeypatch.setattr(command_module, "select", chosen)
    monkeypatch.setattr(command_module, "command", command)
    return codes


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", ["first", pytest.param("third", marks=pytest.mark.long)])
def test_a_part_that_fails_leaves_the_others_and_the_tables(
    tmp_path: Path, parts: dict[str, str], end: str, name: str
) -> None:
    parts[name], outcome = ENDS[end]
    result = invoke(command_module.main, "--out", tmp_path, "--device", "cpu")
    assert result.exit_code == 1
    assert f"These parts did not pass: {name}." in result.output
    ended = {each.part: each for each in results.read(tmp_path)}
    assert {each.part: each.outcome for each in ended.values()} == dict.fromkeys(
        parts, "passed"
    ) | {name: outcome}
    assert ended[name].result is None
    assert ended["second"].result == seal(RESULT)
    assert "## A title" in result.output and "- second: Fast." in result.output
    assert "| b | 4.000 | 4.000 to 4.000 | 2.000 |  |" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "parts.log",
        "results.jsonl",
        "tables.md",
    ]
    if end == "error":
        assert ended[name].last_line == "ValueError: why"


def test_processes_of_a_part_end_with_it(tmp_path: Path, parts: dict[str, str]) -> None:
    parts["first"] = f"""
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
    start_new_session=True)
open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
os.kill(child.pid, signal.SIGSTOP)
os.kill(os.getpid(), 9)
"""
    invoke(command_module.main, "--out", tmp_path / "out", "--device", "cpu")
    child = int((tmp_path / "pid").read_text())
    assert not is_running(child)
    assert [each.outcome for each in results.read(tmp_path / "out")] == [
        *("killed by SIGKILL", "passed", "passed")
    ]


def test_the_deadline_stops_a_part_and_skips_the_others(
    tmp_path: Path, parts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_module, "MIN_PART_SECONDS", 0.5)
    parts["second"] = ENDS["hang"][0]
    words = ("--out", tmp_path, "--device", "cpu", "--deadline", 2)
    assert invoke(command_module.main, *words).exit_code == 1
    first, second, third = (each.outcome for each in results.read(tmp_path))
    assert first == "passed"
    assert second in ("stopped after 1 s", "stopped after 2 s")
    assert third == "skipped at --deadline"


def test_lines_of_an_earlier_call_stay_and_the_latest_of_a_part_counts(tmp_path: Path) -> None:
    line = {"group": "train", "device": "cuda"}
    for part, outcome in (("scaling", "exit code 1"), ("machine", "passed"), ("scaling", "passed")):
        results.append(tmp_path, Ended(part=part, outcome=outcome, **line))  # type: ignore[arg-type]
    with (tmp_path / results.RESULTS_NAME).open("a") as file:
        file.write('{"part": "loader", "outc')
    ended = [(each.part, each.outcome) for each in results.read(tmp_path)]
    assert ended == [("machine", "passed"), ("scaling", "passed")]


def test_a_log_keeps_its_ends_and_counts_warnings() -> None:
    log = Log()
    for number in range(10_000):
        log.add(f"{number} " + "[WARN] fell back" * (number % 2))
    log.add('{"a": 1}')
    assert len(log.lines) == FIRST_LINES + LAST_LINES + 1
    assert log.lines[FIRST_LINES] == f"... {10_001 - FIRST_LINES - LAST_LINES:,} lines ..."
    assert (log.warning_count, log.warnings) == (5000, ["1 [WARN] fell back"])
    assert log.last_line == "9999 [WARN] fell back"


def test_results_of_one_title_share_a_table() -> None:
    other: dict[str, Any] = {**RESULT, "median": {"c": 1.0}, "values": {"c": [1.0]}, "figures": {}}
    ended = [
        Ended(part=name, group="decode", device="cuda", outcome="passed", result=result)
        for name, result in (("one", RESULT), ("two", other))
    ]
    text = tables(ended)
    assert text.count("## A title") == 1
    assert "| c | 1.000 | 1.000 to 1.000 | 0.500 |  |" in text


def test_every_part_can_be_killed(tmp_path: Path) -> None:
    with started(tmp_path) as command:
        while command.poll() is None:
            for pid in children(command.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
    ended = results.read(tmp_path / "out")
    assert [each.part for each in ended] == [each.name for each in select(GpuRun(device="cpu"))]
    assert {each.outcome for each in ended} == {"killed by SIGKILL"}
    assert command.returncode == 1
    printed = (tmp_path / "printed").read_text()
    assert all(f"| {each.part} | cpu | killed by SIGKILL |" in printed for each in ended)


def test_a_stopped_command_ends_its_part_and_prints_the_tables(tmp_path: Path) -> None:
    with started(tmp_path) as command:
        while not (pids := children(command.pid)):
            time.sleep(0.01)
        command.terminate()
        assert command.wait() == 128 + signal.SIGTERM
    # A killed process may need a moment on a busy machine.
    for _ in range(500):
        if not any(is_running(pid) for pid in pids):
            break
        time.sleep(0.01)
    assert not any(is_running(pid) for pid in pids)
    (ended,) = results.read(tmp_path / "out")
    assert ended.outcome == "stopped with the command"
    assert "| machine | cpu | stopped with the command |" in (tmp_path / "printed").read_text()


def started(folder: Path) -> "subprocess.Popen[bytes]":
    """The command with all parts; it prints into a file."""
    words = ["--device", "cpu", "--out", str(folder / "out"), "--data", str(folder / "data")]
    with (folder / "printed").open("wb") as printed:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks.on_gpu", *words],
            cwd=ROOT,
            stdout=printed,
            stderr=subprocess.DEVNULL,
            env=environment(GpuRun(device="cpu")),
        )


def children(pid: int) -> list[int]:
    return [child for child, parent, state in processes() if parent == pid and state != "Z"]


def is_running(pid: int) -> bool:
    return any(each == pid and state != "Z" for each, _, state in processes())


def processes() -> Iterator[tuple[int, int, str]]:
    """(pid, pid of the parent, state) of each process."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            yield int(folder.name), int(parent), state
